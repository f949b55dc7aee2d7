// Runs the CPU's kernels on random sizes and boxes, for sanitizers to watch: fuzz_cpu_kernels [CALLS [FIRST_CALL]].
//
// Every call is one function for one type, or renders masks, with all instruction sets that the processor has and with
// its work divided at random. All of them must give the same bits, and so must write all of the output.
// tests/ops/sanitize.py builds it.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "instruction_sets.h"
#include "mask_rendering_cpu.h"
#include "position_sensitive_cpu.h"

namespace fcis_tf {
namespace {

enum Function { kPool, kPoolGradient, kAssemble, kAssembleGradient };

class Random {
 public:
  explicit Random(int64_t seed) : engine_(seed) {}

  // In [low, high].
  int64_t Integer(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine_); }
  float Real(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  bool Chance(int percent) { return Integer(0, 99) < percent; }
  uint32_t Bits() { return static_cast<uint32_t>(engine_()); }

  template <typename T, size_t N>
  T OneOf(const T (&values)[N]) {
    return values[Integer(0, N - 1)];
  }

 private:
  std::mt19937_64 engine_;
};

// Any float there is, or a plain one.

float AnyFloat(Random& random) {
  const uint32_t bits = random.Bits();
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

void Fill(Random& random, bool any, float* value) { *value = any ? AnyFloat(random) : random.Real(-2, 2); }

void Fill(Random& random, bool any, Half* value) {
  // Up to 4, and often less than the least normal number.
  const int64_t magnitude = random.Integer(random.Chance(10) ? 0 : 0x2000, 0x4400);
  value->bits = static_cast<uint16_t>(any ? random.Bits() : magnitude | random.Integer(0, 1) << 15);
}

void Fill(Random& random, bool any, BFloat16* value) {
  const int64_t magnitude = random.Integer(0x3c00, 0x4080);
  value->bits = static_cast<uint16_t>(any ? random.Bits() : magnitude | random.Integer(0, 1) << 15);
}

bool IsNan(float value) { return std::isnan(value); }
bool IsNan(Half value) { return (value.bits & 0x7fff) > 0x7c00; }
bool IsNan(BFloat16 value) { return (value.bits & 0x7fff) > 0x7f80; }
bool IsNan(int32_t) { return false; }

// The vectors have exactly the size that the kernels may touch: address sanitizer sees one element more.
template <typename T>
std::vector<T> Values(Random& random, int64_t count, bool any) {
  std::vector<T> values(count);
  for (T& value : values) Fill(random, any && random.Chance(20), &value);
  return values;
}

float Edge(Random& random, float extent) {
  static constexpr float kSpecial[] = {NAN,    INFINITY, -INFINITY,   FLT_MAX,    -FLT_MAX, 1e30f,   -1e30f,  0x1p31f,
                                       -0x1p31f, 0x1p63f, -0x1p63f,    0x1p24f,    1e-40f,   FLT_MIN, -0.0f,   0.5f,
                                       -0.5f,  0.49999997f, 8388607.5f, 16777215.0f};
  switch (random.Integer(0, 9)) {
    case 0:
      return random.OneOf(kSpecial);
    case 1:
      return AnyFloat(random);
    case 2:
      return static_cast<float>(random.Integer(-40, 200)) / 2;
    case 3:
      return random.Real(-1, 1);
    default:
      return random.Real(-0.3f, 1.3f) * extent;
  }
}

std::vector<float> Boxes(Random& random, const Sizes& sizes) {
  const float height = sizes.height * sizes.stride, width = sizes.width * sizes.stride;
  std::vector<float> boxes;
  for (int64_t r = 0; r < sizes.boxes; ++r) {
    const bool proper = random.Chance(50);
    float top = Edge(random, height), left = Edge(random, width);
    float bottom = random.Chance(10) ? top : Edge(random, height);
    float right = random.Chance(10) ? left : Edge(random, width);
    if (proper && top > bottom) std::swap(top, bottom);
    if (proper && left > right) std::swap(left, right);
    boxes.insert(boxes.end(), {top, left, bottom, right});
  }
  boxes.shrink_to_fit();
  return boxes;
}

Sizes MakeSizes(Random& random, bool pairs) {
  static constexpr int kExtents[] = {0, 1, 2, 3, 4, 5, 7, 9};
  static constexpr int kGroupSizes[] = {1, 1, 2, 2, 3, 3, 4, 5, 7};
  static constexpr float kStrides[] = {1,     2,    4,      7,       10,      16,    16,     16,
                                       0.37f, 1e9f, 1e-30f, FLT_MAX, FLT_MIN, 1e-42f, 0x1p-9f, 333.3f};
  Sizes sizes;
  sizes.batch = random.Integer(random.Chance(5) ? 0 : 1, 3);
  sizes.height = random.OneOf(kExtents);
  sizes.width = random.Chance(3) ? 60 : random.OneOf(kExtents);
  sizes.depth = random.Chance(5) ? random.Integer(41, 200) : random.Integer(1, 40);
  if (pairs) sizes.depth += sizes.depth % 2;
  sizes.boxes = sizes.batch ? random.Integer(random.Chance(10) ? 0 : 1, 5) : 0;
  sizes.group_size = random.OneOf(kGroupSizes);
  sizes.pooled_size = sizes.group_size * static_cast<int>(random.Integer(1, sizes.group_size > 3 ? 2 : 4));
  sizes.stride = random.OneOf(kStrides);
  return sizes;
}

// Consecutive ranges that cover [0, count), in any order.
std::vector<std::pair<int64_t, int64_t>> Division(Random& random, int64_t count) {
  std::vector<int64_t> cuts = {0, count};
  for (int64_t n = random.Integer(0, 4); n > 0; --n) cuts.push_back(random.Integer(0, count));
  std::sort(cuts.begin(), cuts.end());
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (size_t i = 1; i < cuts.size(); ++i) ranges.emplace_back(cuts[i - 1], cuts[i]);
  for (size_t i = 1; i < ranges.size(); ++i) std::swap(ranges[i], ranges[random.Integer(0, i)]);
  return ranges;
}

// Everything that a function can write, in the beginning garbage that differs from run to run.
template <typename T>
struct Outputs {
  Outputs(int garbage, int64_t values, int64_t masks, int64_t labels) : values(values), masks(masks), labels(labels) {
    Spoil(garbage, this->values);
    Spoil(garbage, this->masks);
    Spoil(garbage, this->labels);
  }

  template <typename U>
  static void Spoil(int garbage, std::vector<U>& values) {
    if (!values.empty()) std::memset(values.data(), garbage, values.size() * sizeof(U));
  }

  std::vector<T> values;
  std::vector<T> masks;
  std::vector<int32_t> labels;
};

// The same bits; which NaN a sum is depends on the order of operands, which is the compiler's to choose.
template <typename T>
bool Equal(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), [](T x, T y) {
    return !std::memcmp(&x, &y, sizeof(T)) || (IsNan(x) && IsNan(y));
  });
}

template <typename T>
void CallOnce(Random& random, int64_t call) {
  const Function function = random.OneOf({kPool, kPoolGradient, kAssemble, kAssembleGradient});
  const bool pooling = function == kPool || function == kPoolGradient;
  const Sizes sizes = MakeSizes(random, !pooling);
  const int64_t cells = int64_t{sizes.group_size} * sizes.group_size;
  const int64_t bins = int64_t{sizes.pooled_size} * sizes.pooled_size;
  const int64_t classes = sizes.depth / 2;
  const int64_t map = sizes.batch * sizes.height * sizes.width * sizes.channels();
  const bool any = random.Chance(10);

  const std::vector<float> boxes = Boxes(random, sizes);
  std::vector<int32_t> box_indices(sizes.boxes), labels(sizes.boxes);
  for (int32_t& index : box_indices) index = static_cast<int32_t>(random.Integer(0, sizes.batch - 1));
  for (int32_t& label : labels) label = static_cast<int32_t>(random.Integer(0, std::max<int64_t>(classes, 1) - 1));
  const bool choose = classes > 1 && random.Chance(50);
  const auto features = Values<T>(random, function == kPoolGradient ? 0 : map, any);
  const auto pooled = Values<T>(random, function == kPoolGradient ? sizes.boxes * bins * sizes.depth : 0, any);
  auto class_gradient = Values<T>(random, function == kAssembleGradient ? sizes.boxes * classes : 0, any);
  auto mask_gradient = Values<T>(random, function == kAssembleGradient ? sizes.boxes * bins * 2 : 0, any);
  // As of RoIs that have no part in the loss.
  for (int64_t r = 0; function == kAssembleGradient && r < sizes.boxes; ++r) {
    if (random.Chance(30)) std::fill_n(class_gradient.begin() + r * classes, classes, T{});
    if (random.Chance(30)) std::fill_n(mask_gradient.begin() + r * bins * 2, bins * 2, T{});
  }

  std::vector<Outputs<T>> results;
  auto run = [&](const CpuKernels<T>& kernels, const std::vector<std::pair<int64_t, int64_t>>& ranges) {
    const int garbage = results.empty() ? 0x5a : 0xa5;
    const bool assembly = function == kAssemble;
    const int64_t count = function == kPool ? sizes.boxes * bins * sizes.depth : assembly ? sizes.boxes * classes : map;
    results.emplace_back(garbage, count, assembly ? sizes.boxes * bins * 2 : 0, assembly ? sizes.boxes : 0);
    Outputs<T>& out = results.back();
    for (const auto& [begin, end] : ranges) {
      if (function == kPool) {
        kernels.pool(sizes, features.data(), boxes.data(), box_indices.data(), begin, end, out.values.data());
      } else if (function == kPoolGradient) {
        kernels.pool_gradient(sizes, boxes.data(), box_indices.data(), pooled.data(), begin, end, out.values.data());
      } else if (function == kAssemble) {
        kernels.assemble(sizes, features.data(), boxes.data(), box_indices.data(), choose ? nullptr : labels.data(),
                         begin, end, out.values.data(), out.masks.data(), out.labels.data());
      } else {
        kernels.assemble_gradient(sizes, features.data(), boxes.data(), box_indices.data(), labels.data(),
                                  class_gradient.data(), mask_gradient.data(), begin, end, out.values.data());
      }
    }
    const Outputs<T>& first = results.front();
    const bool equal =
        Equal(out.values, first.values) && Equal(out.masks, first.masks) && Equal(out.labels, first.labels);
    if (equal) return true;
    std::printf("batch %lld, %lld x %lld cells, depth %lld, %lld boxes, group_size %d, pooled_size %d, stride %g\n",
                static_cast<long long>(sizes.batch), static_cast<long long>(sizes.height),
                static_cast<long long>(sizes.width), static_cast<long long>(sizes.depth),
                static_cast<long long>(sizes.boxes), sizes.group_size, sizes.pooled_size, sizes.stride);
    return false;
  };

  const int64_t count = function == kPool || function == kAssemble ? sizes.boxes : sizes.batch * cells;
  run(*FindCpuKernels<T>("baseline"), {{0, count}});
  for (const char* instruction_set : kInstructionSets) {
    const CpuKernels<T>* kernels = FindCpuKernels<T>(instruction_set);
    if (!kernels || run(*kernels, Division(random, count))) continue;
    std::printf("call %lld: function %d of %zu bytes with %s differs from the baseline undivided\n",
                static_cast<long long>(call), function, sizeof(T), instruction_set);
    std::exit(1);
  }
}

// Rendering of masks: [0, 1] and special values in all inputs, extents of an image that tiles do not divide.
void RenderOnce(Random& random, int64_t call) {
  static constexpr int kExtents[] = {0, 1, 2, 5, 16, 17, 63, 64, 65, 127, 129, 150};
  static constexpr int kCells[] = {0, 1, 2, 3, 7, 21};
  RenderingSizes sizes;
  sizes.regions = random.Integer(0, 5);
  sizes.cells = random.OneOf(kCells);
  sizes.detections = random.Integer(0, 4);
  sizes.height = random.OneOf(kExtents);
  sizes.width = random.Chance(2) ? 300 : random.OneOf(kExtents);
  sizes.threshold = random.Chance(5) ? Edge(random, 1) : random.Real(0, 1);
  sizes.threshold_first = random.Chance(50);
  const int64_t mask_size = random.Chance(5) ? random.Integer(30, 200) : random.Integer(1, 30);
  const bool any = random.Chance(20);
  auto probabilities = [&](int64_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = any && random.Chance(10) ? AnyFloat(random) : random.Real(-0.2f, 1);
    return values;
  };
  const Sizes of_boxes = {1, sizes.height, sizes.width, 1, sizes.regions, 1, 1, 1};
  const std::vector<float> rois = Boxes(random, of_boxes);
  const std::vector<float> masks = probabilities(sizes.regions * sizes.cells * sizes.cells);
  const std::vector<float> votes = probabilities(sizes.detections * sizes.regions);

  struct {
    std::vector<float> boxes, box_masks, boxes_of_masks;
    std::vector<uint8_t> masks;
  } results[2];
  auto run = [&](const MaskKernels& kernels, int garbage, const std::vector<std::pair<int64_t, int64_t>>& ranges,
                 auto* out) {
    out->boxes.resize(sizes.detections * 4);
    out->boxes_of_masks.resize(sizes.detections * 4);
    out->box_masks.resize(sizes.detections * mask_size * mask_size);
    out->masks.resize(sizes.detections * sizes.height * sizes.width);
    for (std::vector<float>* values : {&out->boxes, &out->boxes_of_masks, &out->box_masks}) {
      Outputs<float>::Spoil(garbage, *values);
    }
    Outputs<float>::Spoil(garbage, out->masks);
    for (const auto& [begin, end] : ranges) {
      kernels.render(sizes, masks.data(), rois.data(), votes.data(), begin, end, out->boxes_of_masks.data(),
                     out->masks.data());
      kernels.render_in_boxes(sizes, masks.data(), rois.data(), votes.data(), mask_size, begin, end,
                              out->boxes.data(), out->box_masks.data());
    }
  };
  run(*FindMaskKernels("baseline"), 0x5a, {{0, sizes.detections}}, &results[0]);
  for (const char* instruction_set : kInstructionSets) {
    const MaskKernels* kernels = FindMaskKernels(instruction_set);
    if (!kernels) continue;
    run(*kernels, 0xa5, Division(random, sizes.detections), &results[1]);
    if (results[0].boxes == results[1].boxes && results[0].boxes == results[1].boxes_of_masks &&
        results[0].box_masks == results[1].box_masks && results[0].masks == results[1].masks) {
      continue;
    }
    std::printf("call %lld: masks of %lld cells in %lld x %lld pixels with %s differ from the baseline undivided\n",
                static_cast<long long>(call), static_cast<long long>(sizes.cells),
                static_cast<long long>(sizes.height), static_cast<long long>(sizes.width), instruction_set);
    std::exit(1);
  }
}

}  // namespace
}  // namespace fcis_tf

int main(int argc, char** argv) {
  const int64_t calls = argc > 1 ? std::atoll(argv[1]) : 100000;
  const int64_t first = argc > 2 ? std::atoll(argv[2]) : 0;
  for (int64_t call = first; call < first + calls; ++call) {
    fcis_tf::Random random(call);
    switch (random.Integer(0, 3)) {
      case 0:
        fcis_tf::CallOnce<float>(random, call);
        break;
      case 1:
        fcis_tf::CallOnce<fcis_tf::Half>(random, call);
        break;
      case 2:
        fcis_tf::CallOnce<fcis_tf::BFloat16>(random, call);
        break;
      default:
        fcis_tf::RenderOnce(random, call);
    }
  }
  std::printf("%lld random calls without a finding, with", static_cast<long long>(calls));
  for (const char* instruction_set : fcis_tf::kInstructionSets) {
    if (fcis_tf::FindCpuKernels<float>(instruction_set)) std::printf(" %s", instruction_set);
  }
  std::printf("\n");
}
