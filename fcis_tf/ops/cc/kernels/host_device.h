// Marks functions that CUDA compiles for both host and device; to other compilers they are functions of the host.

#ifndef FCIS_TF_OPS_CC_KERNELS_HOST_DEVICE_H_
#define FCIS_TF_OPS_CC_KERNELS_HOST_DEVICE_H_

#ifdef __CUDACC__
#define FCIS_TF_HOST_DEVICE __host__ __device__
#else
// Always inline: the linker must not take a function compiled for one instruction set for another one.
#define FCIS_TF_HOST_DEVICE __attribute__((always_inline))
#endif

#endif  // FCIS_TF_OPS_CC_KERNELS_HOST_DEVICE_H_
