// Division of an operator's work among the CPU's threads.

#ifndef FCIS_TF_OPS_CC_KERNELS_DIVIDE_WORK_H_
#define FCIS_TF_OPS_CC_KERNELS_DIVIDE_WORK_H_

#include <atomic>
#include <cstdint>
#include <new>

#include "absl/status/status.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/platform/threadpool.h"

namespace fcis_tf {

// Calls function(begin, end) in the threads of the operator's device until all of [0, count) is done.
template <typename Function>
void DivideWork(tensorflow::OpKernelContext* context, int64_t count,
                const tensorflow::thread::ThreadPool::SchedulingParams& scheduling, Function function) {
  std::atomic<bool> out_of_memory{false};
  const auto guarded = [&](int64_t begin, int64_t end) {
    // The loops' own memory; an exception must not leave a thread of TensorFlow's.
    try {
      function(begin, end);
    } catch (const std::bad_alloc&) {
      out_of_memory = true;
    }
  };
  context->device()->tensorflow_cpu_worker_threads()->workers->ParallelFor(count, scheduling, guarded);
  if (out_of_memory) context->CtxFailure(absl::ResourceExhaustedError("out of memory for a thread's sums"));
}

}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_DIVIDE_WORK_H_
