// CUDA's language and the little of its API that our kernels and gpu_check.cu use, on the host.
//
// Every CUDA thread is a fiber. Fibers of a block run one after the other, each up to the next barrier, on one thread
// of the host; blocks run one after the other. What it finds that a GPU would not tell: barriers that not all threads
// reach, and writes behind the block's shared memory. Shared memory starts as NaN.

#ifndef TESTS_OPS_CUDA_HOST_SHIM_H_
#define TESTS_OPS_CUDA_HOST_SHIM_H_

#include <ucontext.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define threadIdx (::cuda_host_shim::state.thread)
#define blockIdx (::cuda_host_shim::state.block)
#define blockDim (::cuda_host_shim::state.block_size)
#define gridDim (::cuda_host_shim::state.grid_size)
#define __syncthreads ::cuda_host_shim::Barrier
#define FCIS_TF_SHARED_MEMORY(name) unsigned char* const name = ::cuda_host_shim::state.shared.data()
#define FCIS_TF_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  (static_cast<void>(stream), ::cuda_host_shim::Launch(grid, block, shared_bytes, [&] { kernel(__VA_ARGS__); }))
// Few blocks, so that kernels' loops over what is left to do are run through.
#define FCIS_TF_LARGEST_GRID 7

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorUnknown = 999,
};
typedef void* cudaStream_t;

namespace cuda_host_shim {

struct Fiber {
  ucontext_t context;
  dim3 thread;
  bool done;
  std::unique_ptr<char[]> stack;
};

struct State {
  dim3 thread, block, block_size, grid_size;
  std::vector<unsigned char> shared;
  std::vector<Fiber> fibers;
  Fiber* current;
  ucontext_t scheduler;
  std::function<void()> kernel;
  // Whether threads run from the last one to the first one: results must not depend on it.
  bool reversed = false;
  cudaError_t error = cudaSuccess;
};

inline State state;

constexpr size_t kStackBytes = 64 << 10;
constexpr size_t kGuardBytes = 64;
constexpr size_t kLargestSharedBytes = 48 << 10;

inline void Barrier() { swapcontext(&state.current->context, &state.scheduler); }

inline void RunFiber() {
  state.kernel();
  state.current->done = true;
}

inline void StartFiber(Fiber* fiber, dim3 thread) {
  fiber->thread = thread;
  fiber->done = false;
  if (!fiber->stack) fiber->stack = std::make_unique<char[]>(kStackBytes);
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack.get();
  fiber->context.uc_stack.ss_size = kStackBytes;
  fiber->context.uc_link = &state.scheduler;
  makecontext(&fiber->context, RunFiber, 0);
}

inline void ResumeFiber(Fiber* fiber) {
  state.current = fiber;
  state.thread = fiber->thread;
  swapcontext(&state.scheduler, &fiber->context);
}

// Returns whether all threads reached the same barriers.
inline bool RunBlock() {
  const size_t threads = state.fibers.size();
  for (size_t i = 0; i < threads; ++i) {
    const unsigned x = state.block_size.x;
    StartFiber(&state.fibers[i], dim3(static_cast<unsigned>(i % x), static_cast<unsigned>(i / x)));
  }
  for (size_t done = 0; done == 0;) {
    for (size_t i = 0; i < threads; ++i) ResumeFiber(&state.fibers[state.reversed ? threads - 1 - i : i]);
    done = std::count_if(state.fibers.begin(), state.fibers.end(), [](const Fiber& fiber) { return fiber.done; });
    if (done && done < threads) return false;
  }
  return true;
}

inline void Launch(dim3 grid, dim3 block, size_t shared_bytes, std::function<void()> kernel) {
  const size_t threads = size_t{block.x} * block.y;
  if (threads < 1 || threads > 1024 || grid.x < 1 || grid.y > 1 || shared_bytes > kLargestSharedBytes) {
    state.error = cudaErrorInvalidConfiguration;
    return;
  }
  state.block_size = block;
  state.grid_size = grid;
  state.kernel = std::move(kernel);
  state.fibers.resize(threads);
  for (unsigned i = 0; i < grid.x; ++i) {
    state.block = dim3(i);
    state.shared.assign(shared_bytes + kGuardBytes, 0xff);
    const bool together = RunBlock();
    const bool intact = std::all_of(state.shared.end() - kGuardBytes, state.shared.end(),
                                    [](unsigned char byte) { return byte == 0xff; });
    if (!together || !intact) {
      state.error = cudaErrorUnknown;
      return;
    }
  }
}

}  // namespace cuda_host_shim

inline cudaError_t cudaGetLastError() { return std::exchange(cuda_host_shim::state.error, cudaSuccess); }
inline const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorUnknown) return "threads parted at a barrier, or wrote behind their shared memory";
  return error == cudaSuccess ? "no error" : "invalid value or configuration";
}

// Memory of the "device" starts as NaN.
inline cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  *pointer = std::memset(std::malloc(std::max<size_t>(bytes, 1)), 0xff, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* pointer) {
  std::free(pointer);
  return cudaSuccess;
}
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
inline cudaError_t cudaMemcpy(void* target, const void* source, size_t bytes, cudaMemcpyKind) {
  if (bytes) std::memcpy(target, source, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(target, source, bytes, kind);
}
inline cudaError_t cudaMemset(void* target, int byte, size_t bytes) {
  std::memset(target, byte, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaGetLastError(); }

typedef std::chrono::steady_clock::time_point* cudaEvent_t;
inline cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new std::chrono::steady_clock::time_point;
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  *event = std::chrono::steady_clock::now();
  return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(*end - *start).count();
  return cudaSuccess;
}

struct cudaDeviceProp {
  char name[256];
  int major, minor;
};
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"the host, in place of a GPU", 0, 0};
  return cudaSuccess;
}

#endif  // TESTS_OPS_CUDA_HOST_SHIM_H_
