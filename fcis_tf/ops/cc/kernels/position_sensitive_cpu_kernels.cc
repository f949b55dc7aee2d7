// TensorFlow's kernels for the CPU: division of the work among threads.

#include <algorithm>

#include "divide_work.h"
#include "position_sensitive_cpu.h"
#include "position_sensitive_kernels.h"

namespace fcis_tf {
namespace {

using tensorflow::OpKernelContext;

// Most bins touch about this many cells.
constexpr int64_t kCellsOfBin = 4;

// Divides count boxes, or grid cells, among the threads.
template <typename Function>
void Divide(OpKernelContext* context, int64_t count, int64_t floats_of_each, Function function) {
  using tensorflow::thread::ThreadPool;
  const auto scheduling = ThreadPool::SchedulingParams::Adaptive(std::max<int64_t>(floats_of_each, 1));
  DivideWork(context, count, scheduling, function);
}

int64_t BinsOf(const Sizes& sizes) { return int64_t{sizes.pooled_size} * sizes.pooled_size; }

int64_t Tasks(const Sizes& sizes) { return sizes.batch * sizes.group_size * sizes.group_size; }

int64_t CostOfBox(const Sizes& sizes) { return BinsOf(sizes) * sizes.depth * kCellsOfBin; }

int64_t CostOfTask(const Sizes& sizes) {
  const int64_t tasks = std::max<int64_t>(Tasks(sizes), 1);
  return sizes.height * sizes.width * sizes.depth + sizes.boxes * CostOfBox(sizes) * 2 / tasks;
}

struct Cpu {
  static constexpr bool kIndicesOnHost = true;

  template <typename T>
  static void Pool(OpKernelContext* context, const Sizes& sizes, const T* features, const float* boxes,
                   const int32_t* box_indices, T* output) {
    Divide(context, sizes.boxes, CostOfBox(sizes), [&](int64_t begin, int64_t end) {
      BestCpuKernels<T>().pool(sizes, features, boxes, box_indices, begin, end, output);
    });
  }

  template <typename T>
  static void PoolGradient(OpKernelContext* context, const Sizes& sizes, const float* boxes,
                           const int32_t* box_indices, const T* output_gradient, T* features_gradient) {
    Divide(context, Tasks(sizes), CostOfTask(sizes), [&](int64_t begin, int64_t end) {
      BestCpuKernels<T>().pool_gradient(sizes, boxes, box_indices, output_gradient, begin, end, features_gradient);
    });
  }

  template <typename T>
  static void Assemble(OpKernelContext* context, const Sizes& sizes, const T* score_maps, const float* boxes,
                       const int32_t* box_indices, const int32_t* labels, T* class_logits, T* mask_logits,
                       int32_t* mask_labels) {
    Divide(context, sizes.boxes, CostOfBox(sizes), [&](int64_t begin, int64_t end) {
      BestCpuKernels<T>().assemble(sizes, score_maps, boxes, box_indices, labels, begin, end, class_logits,
                                   mask_logits, mask_labels);
    });
  }

  template <typename T>
  static void AssembleGradient(OpKernelContext* context, const Sizes& sizes, const T* score_maps, const float* boxes,
                               const int32_t* box_indices, const int32_t* mask_labels,
                               const T* class_logits_gradient, const T* mask_logits_gradient,
                               T* score_maps_gradient) {
    Divide(context, Tasks(sizes), CostOfTask(sizes), [&](int64_t begin, int64_t end) {
      BestCpuKernels<T>().assemble_gradient(sizes, score_maps, boxes, box_indices, mask_labels, class_logits_gradient,
                                            mask_logits_gradient, begin, end, score_maps_gradient);
    });
  }
};

FCIS_TF_REGISTER(Cpu, tensorflow::DEVICE_CPU);

}  // namespace
}  // namespace fcis_tf
