// The loops over cells and channels. Compiled once for every instruction set, into the namespace FCIS_TF_ISA.

#include "position_sensitive_cpu.h"

#include <algorithm>
#include <cstring>

#include "cpu_vectors.h"

namespace fcis_tf {
namespace FCIS_TF_ISA {
namespace {

typedef uint32_t Bits32 __attribute__((vector_size(4 * kWidth)));
typedef uint16_t Bits16 __attribute__((vector_size(2 * kWidth)));

// Conversion of 16 elements.

inline Vector ToFloats(Bits32 bits) {
  Vector floats;
  std::memcpy(&floats, &bits, sizeof(floats));
  return floats;
}

template <typename T>
inline Bits32 LoadBits(const T* source) {
  Bits16 bits;
  std::memcpy(&bits, source, sizeof(bits));
  return __builtin_convertvector(bits, Bits32);
}

inline Vector Load(const BFloat16* source) { return ToFloats(LoadBits(source) << 16); }

inline Vector Load(const Half* source) {
  const Bits32 bits = LoadBits(source);
  // The exponent's bias differs by 112, twice for infinity and NaN. Subnormal halves become 2^-14 too large: no float
  // here is subnormal, since TensorFlow has the processor take those for 0.
  const Bits32 magnitude = (bits & 0x7fff) << 13;
  const Bits32 special = (Bits32)(magnitude >= 0x0f800000) & 112 << 23;
  const Bits32 subnormal = (Bits32)(magnitude < 0x00800000) & 113 << 23;
  const Vector normal = ToFloats(magnitude + special + (112 << 23) + (subnormal & 1 << 23));
  const Vector value = normal - ToFloats(subnormal);
  Bits32 result;
  std::memcpy(&result, &value, sizeof(result));
  return ToFloats(result | (bits & 0x8000) << 16);
}

// Of one element.
using fcis_tf::Store;
using fcis_tf::ToFloat;

template <typename T>
inline void Store(const float* source, int64_t count, T* target) {
  for (int64_t i = 0; i < count; ++i) Store(source[i], target + i);
}

inline void Store(const float* source, int64_t count, float* target) {
  std::memcpy(target, source, count * sizeof(float));
}

// The cells of one bin, for the channels of its grid cell.
template <typename T>
struct Bin {
  T* first;
  int64_t row_stride;
  int64_t column_stride;
  int rows;
  int columns;

  float area() const { return static_cast<float>(int64_t{rows} * columns); }
};

template <typename T>
Bin<T> MakeBin(T* image, int64_t width, int64_t cell_stride, int64_t channel, Range rows, Range columns) {
  T* first = image + (rows.begin * width + columns.begin) * cell_stride + channel;
  return {first, width * cell_stride, cell_stride, rows.size(), columns.size()};
}

template <typename T>
inline float SumOverCells(const Bin<const T>& bin, int64_t channel) {
  float sum = 0;
  for (int y = 0; y < bin.rows; ++y) {
    for (int x = 0; x < bin.columns; ++x) {
      sum += ToFloat(bin.first[y * bin.row_stride + x * bin.column_stride + channel]);
    }
  }
  return sum;
}

template <int N, typename T>
inline void SumOverCells(const Bin<const T>& bin, const int64_t* channels, Vector* sums) {
  for (int n = 0; n < N; ++n) sums[n] = Vector{};
  for (int y = 0; y < bin.rows; ++y) {
    const T* cell = bin.first + y * bin.row_stride;
    for (int x = 0; x < bin.columns; ++x, cell += bin.column_stride) {
      for (int n = 0; n < N; ++n) sums[n] += Load(cell + channels[n]);
    }
  }
}

inline void AddToCells(const Bin<float>& bin, int64_t channel, Vector value) {
  for (int y = 0; y < bin.rows; ++y) {
    for (int x = 0; x < bin.columns; ++x) {
      float* target = bin.first + y * bin.row_stride + x * bin.column_stride + channel;
      const Vector sum = Load(target) + value;
      std::memcpy(target, &sum, sizeof(sum));
    }
  }
}

inline void AddToCells(const Bin<float>& bin, int64_t channel, float value) {
  for (int y = 0; y < bin.rows; ++y) {
    for (int x = 0; x < bin.columns; ++x) {
      bin.first[y * bin.row_stride + x * bin.column_stride + channel] += value;
    }
  }
}

// Depth channels as vectors. Where depth is no multiple of 16 the last vector overlaps the one before it, so that no
// channel beyond the last is touched. Fewer than 16 channels have no vector at all.
class Vectors {
 public:
  explicit Vectors(int64_t depth)
      : depth_(depth), count_(depth < kWidth ? 0 : (depth + kWidth - 1) / kWidth), starts_(count_) {
    for (int64_t i = 0; i < count_; ++i) starts_[i] = std::min(i * kWidth, depth - kWidth);
  }

  int64_t count() const { return count_; }
  const int64_t* starts() const { return starts_.data(); }
  // Channels that no vector covers.
  int64_t scalars() const { return count_ ? 0 : depth_; }

  // Copies depth floats into vectors; a channel that two vectors hold becomes 0 in the second one.
  void Spread(const float* channels, Vector* vectors) const {
    for (int64_t i = 0; i < count_; ++i) {
      vectors[i] = Load(channels + starts()[i]);
      for (int64_t lane = 0; lane < i * kWidth - starts()[i]; ++lane) vectors[i][lane] = 0;
    }
  }

  void Collect(const Vector* vectors, float* channels) const {
    for (int64_t i = 0; i < count_; ++i) std::memcpy(channels + starts()[i], &vectors[i], sizeof(Vector));
  }

  // Calls function(index of the first vector, integral constant N) so that all vectors are visited, N at a time.
  template <typename Function>
  void ForEach(Function function) const {
    int64_t i = 0;
    for (; i + 4 <= count_; i += 4) function(i, std::integral_constant<int, 4>());
    if (i + 2 <= count_) function(i, std::integral_constant<int, 2>()), i += 2;
    if (i < count_) function(i, std::integral_constant<int, 1>());
  }

 private:
  int64_t depth_;
  int64_t count_;
  Array<int64_t> starts_;
};

// Swaps outside and inside of every class: lanes 0 and 1, 2 and 3, and so on.
inline Vector SwapPairs(Vector v) {
#if defined(__clang__)
  return __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#else
  return __builtin_shuffle(v, Mask{1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14});
#endif
}

constexpr Mask kOutside = {-1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0};

// The inside and outside of a class compete: the larger one counts, NaN if either of them is.

// Of every pair, in both of its lanes.
inline Vector MaximumOfPairs(Vector v) {
  const Vector other = SwapPairs(v);
  return (v > other) | (v != v) ? v : other;
}

// Which of outside (even lanes) and inside (odd lanes) the gradient goes to: the inside, unless the outside is as large.
inline Mask IsMaximum(Vector v) {
  const Vector other = SwapPairs(v);
  return ((v >= other) & kOutside) | (~(other >= v) & ~kOutside);
}

inline float Maximum(float outside, float inside) {
  return outside >= inside || outside != outside ? outside : inside;
}

inline Vector Select(Mask mask, Vector v) {
  Mask bits;
  std::memcpy(&bits, &v, sizeof(bits));
  bits &= mask;
  std::memcpy(&v, &bits, sizeof(v));
  return v;
}

// All bins of a box along one axis.
void MakeBins(float low, float high, int64_t extent, const Sizes& sizes, Range* bins) {
  const Axis axis(low, high, extent, sizes);
  for (int i = 0; i < sizes.pooled_size; ++i) bins[i] = axis.Bin(i);
}

// Calls function(index of the bin, its cells) for the bins of a box that are not empty.
template <typename T, typename Function>
inline void ForEachBin(const Sizes& sizes, const T* image, const float* box, Function function) {
  Array<Range> rows(sizes.pooled_size), columns(sizes.pooled_size);
  MakeBins(box[0], box[2], sizes.height, sizes, rows.data());
  MakeBins(box[1], box[3], sizes.width, sizes, columns.data());
  const int bins_per_cell = sizes.bins_per_cell();
  for (int i = 0; i < sizes.pooled_size; ++i) {
    if (rows[i].size() <= 0) continue;
    for (int j = 0; j < sizes.pooled_size; ++j) {
      if (columns[j].size() <= 0) continue;
      const int64_t cell = i / bins_per_cell * sizes.group_size + j / bins_per_cell;
      function(int64_t{i} * sizes.pooled_size + j,
               MakeBin(image, sizes.width, sizes.channels(), cell * sizes.depth, rows[i], columns[j]));
    }
  }
}

template <typename T>
void Pool(const Sizes& sizes, const T* features, const float* boxes, const int32_t* box_indices, int64_t begin,
          int64_t end, T* output) {
  const Vectors vectors(sizes.depth);
  const int64_t bins = int64_t{sizes.pooled_size} * sizes.pooled_size;
  const int64_t image_size = sizes.height * sizes.width * sizes.channels();
  Array<float> means(sizes.depth);
  std::fill(output + begin * bins * sizes.depth, output + end * bins * sizes.depth, T{});
  for (int64_t r = begin; r < end; ++r) {
    ForEachBin(sizes, features + box_indices[r] * image_size, boxes + 4 * r, [&](int64_t index, Bin<const T> bin) {
      const float scale = 1.0f / bin.area();
      vectors.ForEach([&](int64_t first, auto count) {
        Vector sums[count];
        SumOverCells<count>(bin, vectors.starts() + first, sums);
        for (int n = 0; n < count; ++n) {
          sums[n] *= scale;
          std::memcpy(&means[vectors.starts()[first + n]], &sums[n], sizeof(Vector));
        }
      });
      for (int64_t c = 0; c < vectors.scalars(); ++c) means[c] = SumOverCells(bin, c) * scale;
      Store(means.data(), sizes.depth, output + (r * bins + index) * sizes.depth);
    });
  }
}

template <typename T>
inline void StoreMaskPair(const Bin<const T>& bin, int64_t label, T* pair) {
  const float scale = 1.0f / bin.area();
  for (int side = 0; side < 2; ++side) Store(SumOverCells(bin, 2 * label + side) * scale, pair + side);
}

template <typename T>
void Assemble(const Sizes& sizes, const T* score_maps, const float* boxes, const int32_t* box_indices,
              const int32_t* labels, int64_t begin, int64_t end, T* class_logits, T* mask_logits,
              int32_t* mask_labels) {
  const Vectors vectors(sizes.depth);
  const int64_t classes = sizes.depth / 2;
  const int64_t bins = int64_t{sizes.pooled_size} * sizes.pooled_size;
  const int64_t image_size = sizes.height * sizes.width * sizes.channels();
  const float bin_weight = 1.0f / static_cast<float>(bins);
  // Of every pair both lanes sum up the maximum.
  Array<Vector> totals(vectors.count());
  Array<float> maxima(sizes.depth);
  std::fill(mask_logits + begin * bins * 2, mask_logits + end * bins * 2, T{});
  for (int64_t r = begin; r < end; ++r) {
    const T* image = score_maps + box_indices[r] * image_size;
    T* mask = mask_logits + r * bins * 2;
    totals.Clear();
    maxima.Clear();
    ForEachBin(sizes, image, boxes + 4 * r, [&](int64_t index, Bin<const T> bin) {
      const float scale = bin_weight / bin.area();
      vectors.ForEach([&](int64_t first, auto count) {
        Vector sums[count];
        SumOverCells<count>(bin, vectors.starts() + first, sums);
        for (int n = 0; n < count; ++n) totals[first + n] += MaximumOfPairs(sums[n]) * scale;
      });
      for (int64_t c = 0; c < vectors.scalars(); c += 2) {
        maxima[c] += Maximum(SumOverCells(bin, c), SumOverCells(bin, c + 1)) * scale;
      }
      if (labels) StoreMaskPair(bin, labels[r], mask + 2 * index);
    });
    vectors.Collect(totals.data(), maxima.data());
    for (int64_t c = 0; c < classes; ++c) Store(maxima[2 * c], class_logits + r * classes + c);
    if (labels) {
      mask_labels[r] = labels[r];
      continue;
    }
    int32_t best = 1;
    for (int64_t c = 2; c < classes; ++c) {
      if (maxima[2 * c] > maxima[2 * best]) best = static_cast<int32_t>(c);
    }
    mask_labels[r] = best;
    ForEachBin(sizes, image, boxes + 4 * r,
               [&](int64_t index, Bin<const T> bin) { StoreMaskPair(bin, best, mask + 2 * index); });
  }
}

// The gradient with respect to the channels of one grid cell of one image, summed up in float.
class CellGradient {
 public:
  CellGradient(const Sizes& sizes, int64_t task)
      : sizes_(sizes),
        image_(task / (int64_t{sizes.group_size} * sizes.group_size)),
        cell_(task % (int64_t{sizes.group_size} * sizes.group_size)),
        sums_(sizes.height * sizes.width * sizes.depth) {}

  int64_t image() const { return image_; }
  // Of this grid cell within a cell of the map.
  int64_t channel() const { return cell_ * sizes_.depth; }

  // Calls function(index of the bin, its rows, its columns) for a box's bins of this grid cell that are not empty.
  template <typename Function>
  void ForEachBin(const float* box, Function function) const {
    const int bins = sizes_.bins_per_cell();
    const int first_row = static_cast<int>(cell_ / sizes_.group_size) * bins;
    const int first_column = static_cast<int>(cell_ % sizes_.group_size) * bins;
    const Axis vertical(box[0], box[2], sizes_.height, sizes_);
    const Axis horizontal(box[1], box[3], sizes_.width, sizes_);
    for (int i = first_row; i < first_row + bins; ++i) {
      const Range rows = vertical.Bin(i);
      if (rows.size() <= 0) continue;
      for (int j = first_column; j < first_column + bins; ++j) {
        const Range columns = horizontal.Bin(j);
        if (columns.size() > 0) function(int64_t{i} * sizes_.pooled_size + j, rows, columns);
      }
    }
  }

  Bin<float> CellsOf(Range rows, Range columns) {
    return MakeBin(sums_.data(), sizes_.width, sizes_.depth, 0, rows, columns);
  }

  // Writes what was summed up to its place in the whole gradient.
  template <typename T>
  void StoreTo(T* gradient) const {
    const int64_t cells = sizes_.height * sizes_.width;
    T* target = gradient + image_ * cells * sizes_.channels() + channel();
    for (int64_t i = 0; i < cells; ++i) {
      Store(sums_.data() + i * sizes_.depth, sizes_.depth, target + i * sizes_.channels());
    }
  }

 private:
  const Sizes& sizes_;
  int64_t image_;
  int64_t cell_;
  Array<float> sums_;
};

template <typename T>
bool IsZero(const T* values, int64_t count) {
  return std::all_of(values, values + count, [](T value) { return ToFloat(value) == 0; });
}

template <typename T>
void PoolGradient(const Sizes& sizes, const float* boxes, const int32_t* box_indices, const T* output_gradient,
                  int64_t begin, int64_t end, T* features_gradient) {
  const Vectors vectors(sizes.depth);
  const int64_t bins = int64_t{sizes.pooled_size} * sizes.pooled_size;
  Array<float> channels(sizes.depth);
  Array<Vector> spread(vectors.count());
  for (int64_t task = begin; task < end; ++task) {
    CellGradient gradient(sizes, task);
    for (int64_t r = 0; r < sizes.boxes; ++r) {
      if (box_indices[r] != gradient.image()) continue;
      gradient.ForEachBin(boxes + 4 * r, [&](int64_t index, Range rows, Range columns) {
        const Bin<float> bin = gradient.CellsOf(rows, columns);
        const float scale = 1.0f / bin.area();
        const T* source = output_gradient + (r * bins + index) * sizes.depth;
        for (int64_t c = 0; c < sizes.depth; ++c) channels[c] = ToFloat(source[c]) * scale;
        vectors.Spread(channels.data(), spread.data());
        for (int64_t i = 0; i < vectors.count(); ++i) AddToCells(bin, vectors.starts()[i], spread[i]);
        for (int64_t c = 0; c < vectors.scalars(); ++c) AddToCells(bin, c, channels[c]);
      });
    }
    gradient.StoreTo(features_gradient);
  }
}

template <typename T>
void AssembleGradient(const Sizes& sizes, const T* score_maps, const float* boxes, const int32_t* box_indices,
                      const int32_t* mask_labels, const T* class_logits_gradient, const T* mask_logits_gradient,
                      int64_t begin, int64_t end, T* score_maps_gradient) {
  const Vectors vectors(sizes.depth);
  const int64_t classes = sizes.depth / 2;
  const int64_t bins = int64_t{sizes.pooled_size} * sizes.pooled_size;
  const int64_t image_size = sizes.height * sizes.width * sizes.channels();
  const float bin_weight = 1.0f / static_cast<float>(bins);
  // A bin's gradient for either side of every class, if that side is the larger one.
  Array<float> pairs(sizes.depth);
  Array<Vector> spread(vectors.count());
  for (int64_t task = begin; task < end; ++task) {
    CellGradient gradient(sizes, task);
    const T* image = score_maps + gradient.image() * image_size;
    for (int64_t r = 0; r < sizes.boxes; ++r) {
      if (box_indices[r] != gradient.image()) continue;
      const T* class_gradient = class_logits_gradient + r * classes;
      const T* mask_gradient = mask_logits_gradient + r * bins * 2;
      // Of RoIs that the loss leaves out, such as those of low loss in OHEM.
      const bool no_class_gradient = IsZero(class_gradient, classes);
      if (no_class_gradient && IsZero(mask_gradient, bins * 2)) continue;
      for (int64_t c = 0; c < sizes.depth; ++c) pairs[c] = ToFloat(class_gradient[c / 2]) * bin_weight;
      vectors.Spread(pairs.data(), spread.data());
      gradient.ForEachBin(boxes + 4 * r, [&](int64_t index, Range rows, Range columns) {
        const Bin<float> target = gradient.CellsOf(rows, columns);
        const float scale = 1.0f / target.area();
        for (int side = 0; side < 2; ++side) {
          AddToCells(target, 2 * mask_labels[r] + side, ToFloat(mask_gradient[2 * index + side]) * scale);
        }
        if (no_class_gradient) return;
        const Bin<const T> source =
            MakeBin(image, sizes.width, sizes.channels(), gradient.channel(), rows, columns);
        vectors.ForEach([&](int64_t first, auto count) {
          Vector sums[count];
          SumOverCells<count>(source, vectors.starts() + first, sums);
          for (int n = 0; n < count; ++n) {
            const Vector share = Select(IsMaximum(sums[n]), spread[first + n] * scale);
            AddToCells(target, vectors.starts()[first + n], share);
          }
        });
        for (int64_t c = 0; c < vectors.scalars(); c += 2) {
          const bool inside = !(SumOverCells(source, c) >= SumOverCells(source, c + 1));
          AddToCells(target, c + inside, pairs[c] * scale);
        }
      });
    }
    gradient.StoreTo(score_maps_gradient);
  }
}

}  // namespace

template <typename T>
const CpuKernels<T>& Kernels();

template <typename T>
const CpuKernels<T>& Kernels() {
  static const CpuKernels<T> kernels = {Pool<T>, PoolGradient<T>, Assemble<T>, AssembleGradient<T>};
  return kernels;
}

template const CpuKernels<float>& Kernels();
template const CpuKernels<Half>& Kernels();
template const CpuKernels<BFloat16>& Kernels();

}  // namespace FCIS_TF_ISA
}  // namespace fcis_tf
