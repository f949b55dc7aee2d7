// The position-sensitive operators' kernels for a GPU.
//
// Threads that lie side by side read the channels of a cell that lie side by side. With FCIS_TF_HOST_SHIM the same
// source is compiled as C++ for the host, which tests do where there is no GPU.

#include "position_sensitive_gpu.h"

#ifndef FCIS_TF_HOST_SHIM
#define FCIS_TF_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  kernel<<<grid, block, shared_bytes, stream>>>(__VA_ARGS__)
#define FCIS_TF_SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]
// Of blocks. Kernels loop where there is more to do.
#define FCIS_TF_LARGEST_GRID 0x7fffffff
#endif

namespace fcis_tf {
namespace {

// Threads of a block, and blocks that a multiprocessor is to hold, which decides how many registers a thread may have.
// RoIs mostly number 300, a block each: so all of them run at once on a GPU of 75 multiprocessors and more.
constexpr int kForwardThreads = 256;
constexpr int kForwardBlocks = 4;
constexpr int kBackwardThreads = 128;
constexpr int kBackwardBlocks = 8;
// Columns whose gradients a block of the assembly's backward pass sums up in shared memory, 8 bytes a thread each.
constexpr int kSegment = 16;

// What one thread reads at once: a class's scores in one cell.
template <typename T>
struct alignas(2 * sizeof(T)) Pair {
  T outside;
  T inside;
};

struct alignas(8) PairSum {
  float outside;
  float inside;
};

// As the CPU has it: the larger of outside and inside, NaN if either of them is, and which one the gradient goes to.
__device__ inline bool IsInside(PairSum sum) { return !(sum.outside >= sum.inside); }

__device__ inline float Maximum(PairSum sum) {
  return sum.outside != sum.outside || !IsInside(sum) ? sum.outside : sum.inside;
}

template <typename T>
__device__ inline const Pair<T>* Pairs(const T* elements) {
  return reinterpret_cast<const Pair<T>*>(elements);
}

template <typename T>
__device__ inline void StorePair(PairSum sum, float scale, T* target) {
  Pair<T> pair;
  Store(sum.outside * scale, &pair.outside);
  Store(sum.inside * scale, &pair.inside);
  *reinterpret_cast<Pair<T>*>(target) = pair;
}

template <typename T>
__device__ inline void Add(T value, float* sum) {
  *sum += ToFloat(value);
}

template <typename T>
__device__ inline void Add(Pair<T> pair, PairSum* sum) {
  sum->outside += ToFloat(pair.outside);
  sum->inside += ToFloat(pair.inside);
}

// Adds up the cells of a bin. Elements are of type E, T or Pair<T>: cell_stride of them in a cell of the map, of which
// the one at channel counts.
template <typename E, typename Sum>
__device__ inline void AddCells(const E* image, int64_t width, int64_t cell_stride, int64_t channel, Range rows,
                                Range columns, Sum* sum) {
  const E* row = image + (rows.begin * width + columns.begin) * cell_stride + channel;
  for (int y = 0; y < rows.size(); ++y, row += width * cell_stride) {
    const E* cell = row;
    for (int x = 0; x < columns.size(); ++x, cell += cell_stride) Add(*cell, sum);
  }
}

__device__ inline float Area(Range rows, Range columns) {
  return static_cast<float>(int64_t{rows.size()} * columns.size());
}

__device__ inline bool IsEmpty(Range range) { return range.end <= range.begin; }

__device__ inline bool Contains(Range range, int64_t index) { return range.begin <= index && index < range.end; }

__device__ inline Range Intersect(Range a, Range b) {
  return {a.begin > b.begin ? a.begin : b.begin, a.end < b.end ? a.end : b.end};
}

__device__ inline bool InRange(int64_t index, int64_t limit) { return 0 <= index && index < limit; }

__device__ inline int ThreadOfBlock() { return static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x); }
__device__ inline int ThreadsOfBlock() { return static_cast<int>(blockDim.x * blockDim.y); }

// All bins of a box along both axes, in shared memory. All threads of a block call this together. The bins of a RoI
// that is not valid are empty.
__device__ inline void MakeBins(const Sizes& sizes, const float* box, bool valid, Range* rows, Range* columns) {
  // The RoI before this one may still be read.
  __syncthreads();
  if (valid) {
    const Axis vertical(box[0], box[2], sizes.height, sizes);
    const Axis horizontal(box[1], box[3], sizes.width, sizes);
    for (int i = ThreadOfBlock(); i < sizes.pooled_size; i += ThreadsOfBlock()) {
      rows[i] = vertical.Bin(i);
      columns[i] = horizontal.Bin(i);
    }
  } else {
    for (int i = ThreadOfBlock(); i < sizes.pooled_size; i += ThreadsOfBlock()) rows[i] = columns[i] = {0, 0};
  }
  __syncthreads();
}

// The grid cell of bin (i, j), of which a cell of the map holds sizes.depth channels.
__device__ inline int64_t GridCell(const Sizes& sizes, int i, int j) {
  return i / sizes.bins_per_cell() * sizes.group_size + j / sizes.bins_per_cell();
}

// Forward: a block for every RoI. threadIdx.x counts channels, or classes; threadIdx.y shares the bins out.

template <typename T>
__global__ void __launch_bounds__(kForwardThreads, kForwardBlocks)
    PoolKernel(Sizes sizes, const T* __restrict__ features, const float* __restrict__ boxes,
               const int32_t* __restrict__ box_indices, T* __restrict__ output) {
  FCIS_TF_SHARED_MEMORY(shared);
  Range* const rows = reinterpret_cast<Range*>(shared);
  Range* const columns = rows + sizes.pooled_size;
  const int bins = sizes.pooled_size * sizes.pooled_size;
  for (int64_t r = blockIdx.x; r < sizes.boxes; r += gridDim.x) {
    const bool valid = InRange(box_indices[r], sizes.batch);
    MakeBins(sizes, boxes + 4 * r, valid, rows, columns);
    const T* image = features;
    if (valid) image += box_indices[r] * sizes.height * sizes.width * sizes.channels();
    for (int bin = threadIdx.y; bin < bins; bin += blockDim.y) {
      const int i = bin / sizes.pooled_size, j = bin % sizes.pooled_size;
      const bool empty = IsEmpty(rows[i]) || IsEmpty(columns[j]);
      const float scale = empty ? 0.0f : 1.0f / Area(rows[i], columns[j]);
      for (int64_t channel = threadIdx.x; channel < sizes.depth; channel += blockDim.x) {
        float sum = 0;
        if (!empty) {
          AddCells(image, sizes.width, sizes.channels(), GridCell(sizes, i, j) * sizes.depth + channel, rows[i],
                   columns[j], &sum);
        }
        Store(sum * scale, output + (r * bins + bin) * sizes.depth + channel);
      }
    }
  }
}

// A candidate for a RoI's best class.
struct Candidate {
  float logit;
  int32_t label;
};

// The first of the largest. The foreground class that comes first stays if it is NaN, and else no NaN wins: so it is on
// the CPU, which compares one after the other.
__device__ inline Candidate Better(Candidate a, Candidate b) {
  return b.logit > a.logit || (b.logit == a.logit && b.label < a.label) ? b : a;
}

__device__ inline Candidate MakeCandidate(float logit, int64_t label) {
  if (label == 0) return {-INFINITY, 1};
  if (logit != logit) logit = label == 1 ? INFINITY : -INFINITY;
  return {logit, static_cast<int32_t>(label)};
}

// Classes' totals are summed up over the bins of each threadIdx.y, and these in their order.
template <typename T>
__global__ void __launch_bounds__(kForwardThreads, kForwardBlocks)
    AssembleKernel(Sizes sizes, const T* __restrict__ score_maps, const float* __restrict__ boxes,
                   const int32_t* __restrict__ box_indices, const int32_t* __restrict__ labels,
                   T* __restrict__ class_logits, T* __restrict__ mask_logits, int32_t* __restrict__ mask_labels) {
  FCIS_TF_SHARED_MEMORY(shared);
  Range* const rows = reinterpret_cast<Range*>(shared);
  Range* const columns = rows + sizes.pooled_size;
  Candidate* const candidates = reinterpret_cast<Candidate*>(columns + sizes.pooled_size);
  float* const totals = reinterpret_cast<float*>(candidates + blockDim.x);
  const int64_t classes = sizes.depth / 2;
  const int64_t pairs_of_cell = sizes.channels() / 2;
  const int bins = sizes.pooled_size * sizes.pooled_size;
  const float bin_weight = 1.0f / static_cast<float>(bins);
  for (int64_t r = blockIdx.x; r < sizes.boxes; r += gridDim.x) {
    const bool valid = InRange(box_indices[r], sizes.batch) && (!labels || InRange(labels[r], classes));
    MakeBins(sizes, boxes + 4 * r, valid, rows, columns);
    const Pair<T>* image = Pairs(score_maps);
    if (valid) image += box_indices[r] * sizes.height * sizes.width * pairs_of_cell;
    T* const mask = mask_logits + r * bins * 2;
    Candidate best = {-INFINITY, 1};
    for (int64_t first = 0; first < classes; first += blockDim.x) {
      const int64_t label = first + threadIdx.x;
      float total = 0;
      for (int bin = threadIdx.y; bin < bins && label < classes; bin += blockDim.y) {
        const int i = bin / sizes.pooled_size, j = bin % sizes.pooled_size;
        PairSum sum = {0, 0};
        float scale = 0;
        if (!IsEmpty(rows[i]) && !IsEmpty(columns[j])) {
          AddCells(image, sizes.width, pairs_of_cell, GridCell(sizes, i, j) * classes + label, rows[i], columns[j],
                   &sum);
          scale = 1.0f / Area(rows[i], columns[j]);
          total += Maximum(sum) * (scale * bin_weight);
        }
        if (labels && labels[r] == label) StorePair(sum, scale, mask + 2 * bin);
      }
      totals[ThreadOfBlock()] = total;
      __syncthreads();
      if (threadIdx.y == 0 && label < classes) {
        for (unsigned y = 1; y < blockDim.y; ++y) total += totals[y * blockDim.x + threadIdx.x];
        Store(total, class_logits + r * classes + label);
        best = Better(best, MakeCandidate(total, label));
      }
      __syncthreads();
    }
    if (labels && valid) {
      if (ThreadOfBlock() == 0) mask_labels[r] = labels[r];
      continue;
    }
    // The class is known only now, or no thread had it: its scores are read again.
    if (threadIdx.y == 0) candidates[threadIdx.x] = best;
    for (unsigned count = blockDim.x; count > 1;) {
      __syncthreads();
      const unsigned half = (count + 1) / 2;
      if (threadIdx.y == 0 && threadIdx.x + half < count) {
        candidates[threadIdx.x] = Better(candidates[threadIdx.x], candidates[threadIdx.x + half]);
      }
      count = half;
    }
    __syncthreads();
    const int32_t chosen = candidates[0].label;
    for (int bin = ThreadOfBlock(); bin < bins; bin += ThreadsOfBlock()) {
      const int i = bin / sizes.pooled_size, j = bin % sizes.pooled_size;
      PairSum sum = {0, 0};
      float scale = 0;
      if (!IsEmpty(rows[i]) && !IsEmpty(columns[j])) {
        AddCells(image, sizes.width, pairs_of_cell, GridCell(sizes, i, j) * classes + chosen, rows[i], columns[j],
                 &sum);
        scale = 1.0f / Area(rows[i], columns[j]);
      }
      StorePair(sum, scale, mask + 2 * bin);
    }
    if (ThreadOfBlock() == 0) mask_labels[r] = labels ? labels[r] : chosen;
  }
}

// Backward: a block for every part of the features' gradient, which nobody else writes, so that no atomic operations
// are needed. It visits the boxes in their order: the sums are the same bits in every run.

// Channels of a grid cell, in some columns of one row of an image.
struct Part {
  int64_t image;
  int grid_row;
  int grid_column;
  int row;
  Range columns;
};

// Index counts batch * group_size^2 * height.
__device__ inline Part MakePart(const Sizes& sizes, int64_t index) {
  Part part;
  part.row = static_cast<int>(index % sizes.height);
  index /= sizes.height;
  part.grid_column = static_cast<int>(index % sizes.group_size);
  index /= sizes.group_size;
  part.grid_row = static_cast<int>(index % sizes.group_size);
  part.image = index / sizes.group_size;
  return part;
}

// Index of the first channel of a part, at a column.
__device__ inline int64_t Offset(const Sizes& sizes, const Part& part, int64_t column) {
  const int64_t cell = int64_t{part.grid_row} * sizes.group_size + part.grid_column;
  return ((part.image * sizes.height + part.row) * sizes.width + column) * sizes.channels() + cell * sizes.depth;
}

// Calls function(index of the bin, its rows, its columns) for a box's bins of a part's grid cell that touch the part.
template <typename Function>
__device__ inline void ForEachBin(const Sizes& sizes, const float* box, const Part& part, Function function) {
  const int bins = sizes.bins_per_cell();
  const int first_row = part.grid_row * bins, first_column = part.grid_column * bins;
  const Axis vertical(box[0], box[2], sizes.height, sizes);
  const Axis horizontal(box[1], box[3], sizes.width, sizes);
  for (int i = first_row; i < first_row + bins; ++i) {
    const Range rows = vertical.Bin(i);
    if (!Contains(rows, part.row)) continue;
    for (int j = first_column; j < first_column + bins; ++j) {
      const Range columns = horizontal.Bin(j);
      if (!IsEmpty(Intersect(columns, part.columns))) function(i * sizes.pooled_size + j, rows, columns);
    }
  }
}

__device__ inline bool Touches(const Sizes& sizes, const float* box, const Part& part) {
  bool touches = false;
  ForEachBin(sizes, box, part, [&](int, Range, Range) { touches = true; });
  return touches;
}

// Calls function(r), in this order, for all RoIs r that is_valid(r) and that touch a part. All threads of a block call
// this together; each of them tests other boxes. touches has room for blockDim.x.
template <typename IsValid, typename Function>
__device__ inline void ForEachBox(const Sizes& sizes, const float* boxes, const Part& part, unsigned char* touches,
                                  IsValid is_valid, Function function) {
  for (int64_t first = 0; first < sizes.boxes; first += blockDim.x) {
    const int64_t mine = first + threadIdx.x;
    touches[threadIdx.x] = mine < sizes.boxes && is_valid(mine) && Touches(sizes, boxes + 4 * mine, part);
    __syncthreads();
    for (unsigned i = 0; i < blockDim.x; ++i) {
      if (touches[i]) function(first + i);
    }
    __syncthreads();
  }
}

// A thread for every element. Elements of a row of an image's grid cell are counted as column * depth + channel.
template <typename T>
__global__ void __launch_bounds__(kBackwardThreads, kBackwardBlocks)
    PoolGradientKernel(Sizes sizes, int64_t blocks_of_row, int64_t blocks, const float* __restrict__ boxes,
                       const int32_t* __restrict__ box_indices, const T* __restrict__ output_gradient,
                       T* __restrict__ features_gradient) {
  __shared__ unsigned char touches[kBackwardThreads];
  const int64_t elements = sizes.width * sizes.depth;
  const int64_t bins = int64_t{sizes.pooled_size} * sizes.pooled_size;
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    Part part = MakePart(sizes, block / blocks_of_row);
    const int64_t begin = block % blocks_of_row * blockDim.x;
    const int64_t end = begin + blockDim.x < elements ? begin + blockDim.x : elements;
    part.columns = {static_cast<int>(begin / sizes.depth), static_cast<int>((end - 1) / sizes.depth + 1)};
    const int64_t element = begin + threadIdx.x;
    const int64_t column = element / sizes.depth, channel = element % sizes.depth;
    float sum = 0;
    ForEachBox(
        sizes, boxes, part, touches, [&](int64_t r) { return box_indices[r] == part.image; },
        [&](int64_t r) {
          ForEachBin(sizes, boxes + 4 * r, part, [&](int index, Range rows, Range columns) {
            if (element >= elements || !Contains(columns, column)) return;
            const T gradient = output_gradient[(r * bins + index) * sizes.depth + channel];
            sum += ToFloat(gradient) * (1.0f / Area(rows, columns));
          });
        });
    if (element < elements) Store(sum, features_gradient + Offset(sizes, part, column) + channel);
  }
}

// A thread for every class. It alone adds to its columns in shared memory; the bins' sums, which tell inside from
// outside, are computed again.
template <typename T>
__global__ void __launch_bounds__(kBackwardThreads, kBackwardBlocks)
    AssembleGradientKernel(Sizes sizes, int64_t segments, int64_t chunks, int64_t blocks,
                           const T* __restrict__ score_maps, const float* __restrict__ boxes,
                           const int32_t* __restrict__ box_indices, const int32_t* __restrict__ mask_labels,
                           const T* __restrict__ class_logits_gradient, const T* __restrict__ mask_logits_gradient,
                           T* __restrict__ score_maps_gradient) {
  __shared__ unsigned char touches[kBackwardThreads];
  FCIS_TF_SHARED_MEMORY(shared);
  // Of column x: sums[x * blockDim.x].
  PairSum* const sums = reinterpret_cast<PairSum*>(shared) + threadIdx.x;
  const int64_t classes = sizes.depth / 2;
  const int64_t pairs_of_cell = sizes.channels() / 2;
  const int64_t bins = int64_t{sizes.pooled_size} * sizes.pooled_size;
  const float bin_weight = 1.0f / static_cast<float>(bins);
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    Part part = MakePart(sizes, block / chunks / segments);
    const int64_t label = block % chunks * blockDim.x + threadIdx.x;
    const int begin = static_cast<int>(block / chunks % segments) * kSegment;
    part.columns = Intersect({begin, begin + kSegment}, {0, static_cast<int>(sizes.width)});
    const int64_t grid_cell = int64_t{part.grid_row} * sizes.group_size + part.grid_column;
    const Pair<T>* image = Pairs(score_maps) + part.image * sizes.height * sizes.width * pairs_of_cell;
    for (int x = 0; x < kSegment; ++x) sums[x * blockDim.x] = {0, 0};
    ForEachBox(
        sizes, boxes, part, touches,
        [&](int64_t r) { return box_indices[r] == part.image && InRange(mask_labels[r], classes); },
        [&](int64_t r) {
          if (label >= classes) return;
          const float class_gradient = ToFloat(class_logits_gradient[r * classes + label]) * bin_weight;
          const bool is_mask = mask_labels[r] == label;
          // Of RoIs that the loss leaves out, such as those of low loss in OHEM.
          if (class_gradient == 0 && !is_mask) return;
          ForEachBin(sizes, boxes + 4 * r, part, [&](int index, Range rows, Range columns) {
            const float scale = 1.0f / Area(rows, columns);
            PairSum share = {0, 0};
            if (class_gradient != 0) {
              PairSum sum = {0, 0};
              AddCells(image, sizes.width, pairs_of_cell, grid_cell * classes + label, rows, columns, &sum);
              (IsInside(sum) ? share.inside : share.outside) = class_gradient * scale;
            }
            if (is_mask) {
              const Pair<T> gradient = Pairs(mask_logits_gradient)[r * bins + index];
              share.outside += ToFloat(gradient.outside) * scale;
              share.inside += ToFloat(gradient.inside) * scale;
            }
            const Range mine = Intersect(columns, part.columns);
            for (int x = mine.begin - part.columns.begin; x < mine.end - part.columns.begin; ++x) {
              sums[x * blockDim.x].outside += share.outside;
              sums[x * blockDim.x].inside += share.inside;
            }
          });
        });
    if (label >= classes) continue;
    for (int x = part.columns.begin; x < part.columns.end; ++x) {
      StorePair(sums[(x - part.columns.begin) * blockDim.x], 1.0f,
                score_maps_gradient + Offset(sizes, part, x) + 2 * label);
    }
  }
}

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

unsigned GridOf(int64_t blocks) {
  return static_cast<unsigned>(blocks < FCIS_TF_LARGEST_GRID ? blocks : FCIS_TF_LARGEST_GRID);
}

// Side by side as many threads as there are channels.
dim3 ForwardBlock(int64_t channels) {
  const unsigned x = static_cast<unsigned>(channels < kForwardThreads ? channels : kForwardThreads);
  return dim3(x, kForwardThreads / x);
}

size_t BytesOfBins(const Sizes& sizes) { return 2 * sizes.pooled_size * sizeof(Range); }

// Parts of the gradient that differ in more than columns and channels.
int64_t Rows(const Sizes& sizes) { return sizes.batch * sizes.group_size * sizes.group_size * sizes.height; }

}  // namespace

template <typename T>
cudaError_t LaunchPool(const Sizes& sizes, const T* features, const float* boxes, const int32_t* box_indices,
                       T* output, cudaStream_t stream) {
  if (sizes.boxes == 0 || sizes.depth == 0) return cudaSuccess;
  FCIS_TF_LAUNCH(PoolKernel<T>, GridOf(sizes.boxes), ForwardBlock(sizes.depth), BytesOfBins(sizes), stream, sizes,
                 features, boxes, box_indices, output);
  return cudaGetLastError();
}

template <typename T>
cudaError_t LaunchPoolGradient(const Sizes& sizes, const float* boxes, const int32_t* box_indices,
                               const T* output_gradient, T* features_gradient, cudaStream_t stream) {
  const int64_t blocks_of_row = DivideUp(sizes.width * sizes.depth, kBackwardThreads);
  const int64_t blocks = Rows(sizes) * blocks_of_row;
  if (blocks == 0) return cudaSuccess;
  FCIS_TF_LAUNCH(PoolGradientKernel<T>, GridOf(blocks), dim3(kBackwardThreads), 0, stream, sizes, blocks_of_row,
                 blocks, boxes, box_indices, output_gradient, features_gradient);
  return cudaGetLastError();
}

template <typename T>
cudaError_t LaunchAssemble(const Sizes& sizes, const T* score_maps, const float* boxes, const int32_t* box_indices,
                           const int32_t* labels, T* class_logits, T* mask_logits, int32_t* mask_labels,
                           cudaStream_t stream) {
  const int64_t classes = sizes.depth / 2;
  if (sizes.depth % 2 || (!labels && classes < 2)) return cudaErrorInvalidValue;
  if (sizes.boxes == 0) return cudaSuccess;
  // Without classes all labels are out of range, and masks are still written.
  const dim3 block = ForwardBlock(classes > 0 ? classes : 1);
  const size_t bytes =
      BytesOfBins(sizes) + block.x * sizeof(Candidate) + size_t{block.x} * block.y * sizeof(float);
  FCIS_TF_LAUNCH(AssembleKernel<T>, GridOf(sizes.boxes), block, bytes, stream, sizes, score_maps, boxes, box_indices,
                 labels, class_logits, mask_logits, mask_labels);
  return cudaGetLastError();
}

template <typename T>
cudaError_t LaunchAssembleGradient(const Sizes& sizes, const T* score_maps, const float* boxes,
                                   const int32_t* box_indices, const int32_t* mask_labels,
                                   const T* class_logits_gradient, const T* mask_logits_gradient,
                                   T* score_maps_gradient, cudaStream_t stream) {
  if (sizes.depth % 2) return cudaErrorInvalidValue;
  const int64_t classes = sizes.depth / 2;
  // Whole warps.
  const int64_t threads = classes < kBackwardThreads ? DivideUp(classes, 32) * 32 : kBackwardThreads;
  const int64_t segments = DivideUp(sizes.width, kSegment);
  const int64_t chunks = threads ? DivideUp(classes, threads) : 0;
  const int64_t blocks = Rows(sizes) * segments * chunks;
  if (blocks == 0) return cudaSuccess;
  FCIS_TF_LAUNCH(AssembleGradientKernel<T>, GridOf(blocks), dim3(static_cast<unsigned>(threads)),
                 threads * kSegment * sizeof(PairSum), stream, sizes, segments, chunks, blocks, score_maps, boxes,
                 box_indices, mask_labels, class_logits_gradient, mask_logits_gradient, score_maps_gradient);
  return cudaGetLastError();
}

#define FCIS_TF_INSTANTIATE(T)                                                                                     \
  template cudaError_t LaunchPool(const Sizes&, const T*, const float*, const int32_t*, T*, cudaStream_t);         \
  template cudaError_t LaunchPoolGradient(const Sizes&, const float*, const int32_t*, const T*, T*, cudaStream_t); \
  template cudaError_t LaunchAssemble(const Sizes&, const T*, const float*, const int32_t*, const int32_t*, T*,    \
                                      T*, int32_t*, cudaStream_t);                                                 \
  template cudaError_t LaunchAssembleGradient(const Sizes&, const T*, const float*, const int32_t*,                \
                                              const int32_t*, const T*, const T*, T*, cudaStream_t)

FCIS_TF_INSTANTIATE(float);
FCIS_TF_INSTANTIATE(Half);
FCIS_TF_INSTANTIATE(BFloat16);

}  // namespace fcis_tf
