// The launchers of the CUDA kernels as functions of C, for ctypes; compiled with the host shim.

#include "position_sensitive_gpu.h"

namespace {

// Calls function(null pointer to the element type that a number stands for).
template <typename Function>
int WithType(int type, Function function) {
  if (type == 0) return function(static_cast<float*>(nullptr));
  if (type == 1) return function(static_cast<fcis_tf::Half*>(nullptr));
  return function(static_cast<fcis_tf::BFloat16*>(nullptr));
}

}  // namespace

// All return an error of CUDA.
extern "C" {

int pool(int type, const fcis_tf::Sizes* sizes, void* features, const float* boxes, const int32_t* box_indices,
         void* output) {
  return WithType(type, [&](auto* t) {
    typedef decltype(t) P;
    return fcis_tf::LaunchPool(*sizes, static_cast<P>(features), boxes, box_indices, static_cast<P>(output), nullptr);
  });
}

int pool_gradient(int type, const fcis_tf::Sizes* sizes, const float* boxes, const int32_t* box_indices,
                  void* output_gradient, void* features_gradient) {
  return WithType(type, [&](auto* t) {
    typedef decltype(t) P;
    return fcis_tf::LaunchPoolGradient(*sizes, boxes, box_indices, static_cast<P>(output_gradient),
                                       static_cast<P>(features_gradient), nullptr);
  });
}

int assemble(int type, const fcis_tf::Sizes* sizes, void* score_maps, const float* boxes, const int32_t* box_indices,
             const int32_t* labels, void* class_logits, void* mask_logits, int32_t* mask_labels) {
  return WithType(type, [&](auto* t) {
    typedef decltype(t) P;
    return fcis_tf::LaunchAssemble(*sizes, static_cast<P>(score_maps), boxes, box_indices, labels,
                                   static_cast<P>(class_logits), static_cast<P>(mask_logits), mask_labels, nullptr);
  });
}

int assemble_gradient(int type, const fcis_tf::Sizes* sizes, void* score_maps, const float* boxes,
                      const int32_t* box_indices, const int32_t* mask_labels, void* class_logits_gradient,
                      void* mask_logits_gradient, void* score_maps_gradient) {
  return WithType(type, [&](auto* t) {
    typedef decltype(t) P;
    return fcis_tf::LaunchAssembleGradient(*sizes, static_cast<P>(score_maps), boxes, box_indices, mask_labels,
                                           static_cast<P>(class_logits_gradient),
                                           static_cast<P>(mask_logits_gradient),
                                           static_cast<P>(score_maps_gradient), nullptr);
  });
}

// Lets the threads of a block run from the last one to the first one.
void reverse_threads(int reversed) { cuda_host_shim::state.reversed = reversed; }

}  // extern "C"
