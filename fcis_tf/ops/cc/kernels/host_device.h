// Marks functions that CUDA compiles for both host and device; to other compilers they are ordinary functions.

#ifndef FCIS_TF_OPS_CC_KERNELS_HOST_DEVICE_H_
#define FCIS_TF_OPS_CC_KERNELS_HOST_DEVICE_H_

#ifdef __CUDACC__
#define FCIS_TF_HOST_DEVICE __host__ __device__
#else
#define FCIS_TF_HOST_DEVICE
#endif

#endif  // FCIS_TF_OPS_CC_KERNELS_HOST_DEVICE_H_
