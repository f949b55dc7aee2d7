// Half-open ranges of cells or pixels.

#ifndef FCIS_TF_OPS_CC_KERNELS_RANGE_H_
#define FCIS_TF_OPS_CC_KERNELS_RANGE_H_

#include "host_device.h"

namespace fcis_tf {

// Along one axis.
struct Range {
  int begin;
  int end;

  FCIS_TF_HOST_DEVICE int size() const { return end - begin; }
};

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_RANGE_H_
