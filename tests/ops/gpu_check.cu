// Checks and times the CUDA kernels on the GPU at hand, without TensorFlow: `make gpu-check`.
//
//   gpu_check CASES [--small]
//
// CASES is gpu_check_cases.txt: small cases with what the definition gives. The rest is random input, against sums in
// float64 on the host. With --small that is small too, for runs on the host in place of a GPU.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "position_sensitive_gpu.h"

#ifndef FCIS_TF_HOST_SHIM
#include <cuda_runtime.h>
#endif

namespace {

using fcis_tf::BFloat16;
using fcis_tf::Half;
using fcis_tf::Range;
using fcis_tf::Sizes;

int failures = 0;

void CheckCuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// Memory of the device, a copy of an array of the host.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : size_(values.size()) {
    CheckCuda(cudaMalloc(reinterpret_cast<void**>(&data_), size_ * sizeof(T)), "cudaMalloc");
    CheckCuda(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  // Every byte is set: to NaN, so that what a kernel forgets to write is noticed.
  explicit DeviceArray(size_t size) : size_(size) {
    CheckCuda(cudaMalloc(reinterpret_cast<void**>(&data_), size_ * sizeof(T)), "cudaMalloc");
    CheckCuda(cudaMemset(data_, 0xff, size_ * sizeof(T)), "cudaMemset");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> ToHost() const {
    std::vector<T> values(size_);
    CheckCuda(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t size_;
};

template <typename T>
std::vector<T> FromFloats(const std::vector<float>& values) {
  std::vector<T> result(values.size());
  for (size_t i = 0; i < values.size(); ++i) fcis_tf::Store(values[i], &result[i]);
  return result;
}

template <typename T>
std::vector<float> ToFloats(const std::vector<T>& values) {
  std::vector<float> result(values.size());
  for (size_t i = 0; i < values.size(); ++i) result[i] = fcis_tf::ToFloat(values[i]);
  return result;
}

// Rounds to what T can hold.
template <typename T>
void Round(std::vector<float>* values) {
  *values = ToFloats(FromFloats<T>(*values));
}

struct Case {
  Sizes sizes;
  std::vector<float> features;
  std::vector<float> boxes;
  std::vector<int32_t> box_indices;
  std::vector<float> class_gradient, mask_gradient;  // of assembly
  std::vector<float> output_gradient;                // of pooling

  int64_t bins() const { return int64_t{sizes.pooled_size} * sizes.pooled_size; }
  int64_t classes() const { return sizes.depth / 2; }
};

// What the definition gives.
struct Pooled {
  std::vector<double> output, gradient;
};
struct Assembled {
  std::vector<double> class_logits, mask_logits, gradient;
};

// The definition, in float64 but for the edges of bins.

Range BinOf(float low, float high, int index, int64_t extent, const Sizes& sizes) {
  const float begin = std::round(low) / sizes.stride, end = std::round(high) / sizes.stride;
  const float bin_size = std::max(end - begin, 0.1f) / static_cast<float>(sizes.pooled_size);
  const float first = std::floor(static_cast<float>(index) * bin_size + begin);
  const float last = std::ceil(static_cast<float>(index + 1) * bin_size + begin);
  const auto clip = [&](float edge) { return static_cast<int>(std::clamp(edge, 0.0f, static_cast<float>(extent))); };
  return {clip(first), clip(last)};
}

// Calls function(r, index of the bin, indices of its cells' first channels) for all bins that are not empty.
template <typename Function>
void ForEachBin(const Case& c, Function function) {
  const Sizes& sizes = c.sizes;
  std::vector<int64_t> cells;
  for (int64_t r = 0; r < sizes.boxes; ++r) {
    const float* box = &c.boxes[4 * r];
    for (int i = 0; i < sizes.pooled_size; ++i) {
      const Range rows = BinOf(box[0], box[2], i, sizes.height, sizes);
      for (int j = 0; j < sizes.pooled_size; ++j) {
        const Range columns = BinOf(box[1], box[3], j, sizes.width, sizes);
        const int64_t grid_cell = int64_t{i * sizes.group_size / sizes.pooled_size} * sizes.group_size +
                                  j * sizes.group_size / sizes.pooled_size;
        cells.clear();
        for (int y = rows.begin; y < rows.end; ++y) {
          for (int x = columns.begin; x < columns.end; ++x) {
            cells.push_back(((c.box_indices[r] * sizes.height + y) * sizes.width + x) * sizes.channels() +
                            grid_cell * sizes.depth);
          }
        }
        if (!cells.empty()) function(r, i * sizes.pooled_size + j, cells);
      }
    }
  }
}

double Mean(const Case& c, const std::vector<int64_t>& cells, int64_t channel) {
  double sum = 0;
  for (int64_t cell : cells) sum += c.features[cell + channel];
  return sum / static_cast<double>(cells.size());
}

Pooled Pool(const Case& c) {
  Pooled pooled;
  pooled.output.resize(c.sizes.boxes * c.bins() * c.sizes.depth);
  pooled.gradient.resize(c.features.size());
  ForEachBin(c, [&](int64_t r, int bin, const std::vector<int64_t>& cells) {
    for (int64_t d = 0; d < c.sizes.depth; ++d) {
      const int64_t index = (r * c.bins() + bin) * c.sizes.depth + d;
      pooled.output[index] = Mean(c, cells, d);
      const double share = c.output_gradient[index] / static_cast<double>(cells.size());
      for (int64_t cell : cells) pooled.gradient[cell + d] += share;
    }
  });
  return pooled;
}

Assembled Assemble(const Case& c, const std::vector<int32_t>& labels) {
  Assembled assembled;
  assembled.class_logits.resize(c.sizes.boxes * c.classes());
  assembled.mask_logits.resize(c.sizes.boxes * c.bins() * 2);
  assembled.gradient.resize(c.features.size());
  ForEachBin(c, [&](int64_t r, int bin, const std::vector<int64_t>& cells) {
    const double bins = static_cast<double>(c.bins());
    for (int64_t label = 0; label < c.classes(); ++label) {
      const double mean[] = {Mean(c, cells, 2 * label), Mean(c, cells, 2 * label + 1)};
      const bool inside = mean[1] > mean[0];
      assembled.class_logits[r * c.classes() + label] += mean[inside] / bins;
      double share[] = {0, 0};
      share[inside] = c.class_gradient[r * c.classes() + label] / bins;
      if (label == labels[r]) {
        for (int side = 0; side < 2; ++side) {
          assembled.mask_logits[(r * c.bins() + bin) * 2 + side] = mean[side];
          share[side] += c.mask_gradient[(r * c.bins() + bin) * 2 + side];
        }
      }
      for (int side = 0; side < 2; ++side) {
        for (int64_t cell : cells) {
          assembled.gradient[cell + 2 * label + side] += share[side] / static_cast<double>(cells.size());
        }
      }
    }
  });
  return assembled;
}

// Comparison

template <typename T>
const char* NameOf();
template <>
const char* NameOf<float>() {
  return "float32";
}
template <>
const char* NameOf<Half>() {
  return "float16";
}
template <>
const char* NameOf<BFloat16>() {
  return "bfloat16";
}

// Prints the largest error, and counts a failure where one exceeds tolerance; results of 16 bits are rounded besides.
template <typename T>
void Compare(const std::string& what, const std::vector<T>& found, const std::vector<double>& expected,
             double tolerance) {
  double largest = 0;
  bool good = found.size() == expected.size();
  for (size_t i = 0; good && i < found.size(); ++i) {
    const double error = std::fabs(fcis_tf::ToFloat(found[i]) - expected[i]);
    const double rounding = sizeof(T) == 2 ? std::fabs(expected[i]) / 256 : std::fabs(expected[i]) * 1e-5;
    // False for NaN.
    if (!(error <= tolerance + rounding)) good = false;
    largest = std::max(largest, error);
  }
  if (!good) ++failures;
  std::printf("  %-44s %-9s largest error %.1e  %s\n", what.c_str(), NameOf<T>(), largest, good ? "good" : "WRONG");
}

void Expect(const std::string& what, bool good) {
  if (!good) ++failures;
  std::printf("  %-44s %s\n", what.c_str(), good ? "good" : "WRONG");
}

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && !std::memcmp(a.data(), b.data(), a.size() * sizeof(T));
}

// Median milliseconds of a launch.
template <typename Function>
double Time(int runs, Function launch) {
  cudaEvent_t start, end;
  CheckCuda(cudaEventCreate(&start), "cudaEventCreate");
  CheckCuda(cudaEventCreate(&end), "cudaEventCreate");
  std::vector<float> times(runs);
  for (int run = runs > 1 ? -3 : 0; run < runs; ++run) {
    CheckCuda(cudaEventRecord(start, nullptr), "cudaEventRecord");
    launch();
    CheckCuda(cudaEventRecord(end, nullptr), "cudaEventRecord");
    CheckCuda(cudaEventSynchronize(end), "cudaEventSynchronize");
    // The ones before warm up.
    if (run >= 0) CheckCuda(cudaEventElapsedTime(&times[run], start, end), "cudaEventElapsedTime");
  }
  cudaEventDestroy(start);
  cudaEventDestroy(end);
  std::nth_element(times.begin(), times.begin() + runs / 2, times.end());
  return times[runs / 2];
}

void PrintTime(const char* what, double milliseconds, double bytes, double copy) {
  const double rate = bytes / milliseconds / 1e6;
  std::printf("  %-44s %9.3f ms %9.1f GB/s  %5.2f of copying\n", what, milliseconds, rate, rate / copy);
}

// Bytes a second, read and written, of a copy within the device's memory; in GB/s.
double CopyRate(size_t bytes, int runs) {
  const DeviceArray<unsigned char> source(bytes), target(bytes);
  const double milliseconds = Time(runs, [&] {
    CheckCuda(cudaMemcpyAsync(target.data(), source.data(), bytes, cudaMemcpyDeviceToDevice, nullptr), "copy");
  });
  return 2 * static_cast<double>(bytes) / milliseconds / 1e6;
}

// How many elements the bins read, each cell as often as bins cover it.
double ElementsRead(const Case& c) {
  double cells = 0;
  ForEachBin(c, [&](int64_t, int, const std::vector<int64_t>& bin) { cells += static_cast<double>(bin.size()); });
  return cells * static_cast<double>(c.sizes.depth);
}

// The launchers. With runs > 0 they are timed, too.

template <typename T>
void CheckPool(const std::string& name, const Case& c, const Pooled& expected, int runs, double copy) {
  const DeviceArray<T> features(FromFloats<T>(c.features)), output_gradient(FromFloats<T>(c.output_gradient));
  const DeviceArray<float> boxes(c.boxes);
  const DeviceArray<int32_t> box_indices(c.box_indices);
  const DeviceArray<T> output(expected.output.size()), gradient(c.features.size());
  const auto forward = [&] {
    CheckCuda(fcis_tf::LaunchPool(c.sizes, features.data(), boxes.data(), box_indices.data(), output.data(), nullptr),
              "LaunchPool");
  };
  const auto backward = [&] {
    CheckCuda(fcis_tf::LaunchPoolGradient(c.sizes, boxes.data(), box_indices.data(), output_gradient.data(),
                                          gradient.data(), nullptr),
              "LaunchPoolGradient");
  };
  forward();
  backward();
  CheckCuda(cudaDeviceSynchronize(), "pooling");
  Compare(name + ": pooled", output.ToHost(), expected.output, 1e-5);
  const std::vector<T> first = gradient.ToHost();
  Compare(name + ": gradient of features", first, expected.gradient, 1e-4);
  backward();
  CheckCuda(cudaDeviceSynchronize(), "pooling");
  Expect(name + ": gradient again, bit for bit", SameBits(first, gradient.ToHost()));
  if (!runs) return;
  const double outputs = static_cast<double>(expected.output.size());
  PrintTime("pooling, forward", Time(runs, forward), sizeof(T) * (ElementsRead(c) + outputs), copy);
  PrintTime("pooling, backward", Time(runs, backward),
            sizeof(T) * (outputs + static_cast<double>(c.features.size())), copy);
}

// Where expected is null the labels are those that the GPU chooses, and the definition is computed here.
template <typename T>
void CheckAssemble(const std::string& name, const Case& c, const Assembled* expected,
                   std::vector<int32_t> labels, int runs, double copy) {
  const DeviceArray<T> score_maps(FromFloats<T>(c.features)), class_gradient(FromFloats<T>(c.class_gradient)),
      mask_gradient(FromFloats<T>(c.mask_gradient));
  const DeviceArray<float> boxes(c.boxes);
  const DeviceArray<int32_t> box_indices(c.box_indices);
  const DeviceArray<T> class_logits(c.class_gradient.size()), mask_logits(c.mask_gradient.size()),
      gradient(c.features.size());
  const DeviceArray<int32_t> mask_labels(c.sizes.boxes);
  const auto forward = [&](const int32_t* labels) {
    CheckCuda(fcis_tf::LaunchAssemble(c.sizes, score_maps.data(), boxes.data(), box_indices.data(), labels,
                                      class_logits.data(), mask_logits.data(), mask_labels.data(), nullptr),
              "LaunchAssemble");
  };
  const auto backward = [&] {
    CheckCuda(fcis_tf::LaunchAssembleGradient(c.sizes, score_maps.data(), boxes.data(), box_indices.data(),
                                              mask_labels.data(), class_gradient.data(), mask_gradient.data(),
                                              gradient.data(), nullptr),
              "LaunchAssembleGradient");
  };
  Assembled computed;
  if (!expected) {
    forward(nullptr);
    CheckCuda(cudaDeviceSynchronize(), "assembly");
    labels = mask_labels.ToHost();
    computed = Assemble(c, labels);
    expected = &computed;
    bool best = true;
    for (int64_t r = 0; r < c.sizes.boxes; ++r) {
      const double* logits = &computed.class_logits[r * c.classes()];
      // Equal but for the order of a sum, two classes may change places.
      best = best && labels[r] >= 1 && labels[r] < c.classes() &&
             logits[labels[r]] >= *std::max_element(logits + 1, logits + c.classes()) - 1e-5;
    }
    Expect(name + ": best classes", best);
    Compare(name + ": class logits, best class", class_logits.ToHost(), expected->class_logits, 1e-5);
    Compare(name + ": mask logits, best class", mask_logits.ToHost(), expected->mask_logits, 1e-5);
  }
  const DeviceArray<int32_t> given(labels);
  forward(given.data());
  backward();
  CheckCuda(cudaDeviceSynchronize(), "assembly");
  Compare(name + ": class logits", class_logits.ToHost(), expected->class_logits, 1e-5);
  Compare(name + ": mask logits", mask_logits.ToHost(), expected->mask_logits, 1e-5);
  Expect(name + ": labels", mask_labels.ToHost() == labels);
  const std::vector<T> first = gradient.ToHost();
  Compare(name + ": gradient of score maps", first, expected->gradient, 1e-4);
  backward();
  CheckCuda(cudaDeviceSynchronize(), "assembly");
  Expect(name + ": gradient again, bit for bit", SameBits(first, gradient.ToHost()));
  if (!runs) return;
  const double small = static_cast<double>(c.class_gradient.size() + c.mask_gradient.size());
  const double bytes = sizeof(T) * (ElementsRead(c) + small);
  PrintTime("assembly, forward, labels given", Time(runs, [&] { forward(given.data()); }), bytes, copy);
  PrintTime("assembly, forward, best class", Time(runs, [&] { forward(nullptr); }), bytes, copy);
  PrintTime("assembly, backward", Time(runs, backward), bytes + sizeof(T) * static_cast<double>(c.features.size()),
            copy);
}

// Inputs

// The same in write_gpu_check_cases.py: multiples of 1/256, which float holds exactly.
std::vector<float> ByFormula(int64_t size, int64_t seed) {
  std::vector<float> values(size);
  for (int64_t i = 0; i < size; ++i) values[i] = static_cast<float>((i * 7919 + seed * 104729) % 1009 - 504) / 256;
  return values;
}

// Multiples of 1/256: sums of them are exact in float, so that inside and outside are equal here where they are there.
std::vector<float> Random(int64_t size, std::mt19937* generator) {
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(static_cast<int>((*generator)() % 1025) - 512) / 256;
  return values;
}

// Boxes such as proposals are: of all sizes, clipped to the image.
Case RandomCase(const Sizes& sizes, std::mt19937* generator) {
  Case c = {sizes, Random(sizes.batch * sizes.height * sizes.width * sizes.channels(), generator), {}, {}, {}, {}, {}};
  std::uniform_real_distribution<float> uniform(0, 1);
  for (int64_t r = 0; r < sizes.boxes; ++r) {
    float low[2], high[2];
    for (int axis = 0; axis < 2; ++axis) {
      const float extent = static_cast<float>(axis ? sizes.width : sizes.height) * sizes.stride;
      const float center = uniform(*generator) * extent;
      const float side = 32 * std::pow(500.0f / 32, uniform(*generator));
      low[axis] = std::max(center - side / 2, 0.0f);
      high[axis] = std::min(center + side / 2, extent);
    }
    c.boxes.insert(c.boxes.end(), {low[0], low[1], high[0], high[1]});
    c.box_indices.push_back(static_cast<int32_t>((*generator)() % sizes.batch));
  }
  c.class_gradient = Random(sizes.boxes * c.classes(), generator);
  c.mask_gradient = Random(sizes.boxes * c.bins() * 2, generator);
  return c;
}

template <typename T>
void RoundAll(Case* c) {
  Round<T>(&c->features);
  Round<T>(&c->class_gradient);
  Round<T>(&c->mask_gradient);
  Round<T>(&c->output_gradient);
}

template <typename T>
std::vector<T> ReadNumbers(std::istream& file, int64_t count) {
  std::vector<T> values(count);
  for (T& value : values) file >> value;
  return values;
}

// Runs the cases of a file, written by write_gpu_check_cases.py.
void CheckCases(const char* path) {
  std::ifstream file(path);
  int64_t seed = 0;
  std::string name;
  while (file >> name) {
    Case c;
    Sizes& sizes = c.sizes;
    file >> sizes.batch >> sizes.height >> sizes.width >> sizes.depth >> sizes.boxes >> sizes.group_size >>
        sizes.pooled_size >> sizes.stride;
    c.boxes = ReadNumbers<float>(file, 4 * sizes.boxes);
    c.box_indices = ReadNumbers<int32_t>(file, sizes.boxes);
    const std::vector<int32_t> labels = ReadNumbers<int32_t>(file, sizes.boxes);
    c.features = ByFormula(sizes.batch * sizes.height * sizes.width * sizes.channels(), ++seed);
    c.class_gradient = ByFormula(sizes.boxes * c.classes(), ++seed);
    c.mask_gradient = ByFormula(sizes.boxes * c.bins() * 2, ++seed);
    c.output_gradient = ByFormula(sizes.boxes * c.bins() * sizes.depth, ++seed);
    Assembled assembled;
    assembled.class_logits = ReadNumbers<double>(file, c.class_gradient.size());
    assembled.mask_logits = ReadNumbers<double>(file, c.mask_gradient.size());
    assembled.gradient = ReadNumbers<double>(file, c.features.size());
    Pooled pooled;
    pooled.output = ReadNumbers<double>(file, c.output_gradient.size());
    pooled.gradient = ReadNumbers<double>(file, c.features.size());
    if (!file) break;
    CheckAssemble<float>(name, c, &assembled, labels, 0, 0);
    CheckPool<float>(name, c, pooled, 0, 0);
  }
  // Up to the end, without anything that is no number.
  Expect("cases of " + std::string(path), seed > 0 && file.eof() && name == "end");
}

template <typename T>
void CheckAndTime(const Sizes& sizes, int64_t classes, int runs, double copy) {
  std::mt19937 generator(0);
  Sizes own = sizes;
  own.depth = 2 * (classes + 1);
  Case c = RandomCase(own, &generator);
  RoundAll<T>(&c);
  CheckAssemble<T>(std::to_string(classes) + " classes", c, nullptr, {}, runs, copy);
}

template <typename T>
void CheckAndTimePool(const Sizes& sizes, int runs, double copy) {
  std::mt19937 generator(0);
  Sizes own = sizes;
  own.depth = 4;
  Case c = RandomCase(own, &generator);
  c.output_gradient = Random(own.boxes * c.bins() * own.depth, &generator);
  RoundAll<T>(&c);
  CheckPool<T>("box maps", c, Pool(c), runs, copy);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::printf("usage: gpu_check CASES [--small]\n");
    return 2;
  }
  const bool small = argc > 2 && !std::strcmp(argv[2], "--small");
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0) {
    std::printf("gpu-check: there is no GPU here (%s): nothing was checked\n", cudaGetErrorString(error));
    cudaGetLastError();
    return 0;
  }
  cudaDeviceProp device;
  CheckCuda(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
  std::printf("%s, compute capability %d.%d\n\n", device.name, device.major, device.minor);
  std::printf("small cases, against the definition\n");
  CheckCases(argv[1]);

  const int runs = small ? 1 : 20;
  const double copy = CopyRate(small ? 1 << 20 : 1 << 28, runs);
  std::printf("\ncopying within the device: %.1f GB/s, read and written\n", copy);
  const Sizes sizes = small ? Sizes{2, 5, 20, 0, 5, 2, 6, 16} : Sizes{1, 38, 63, 0, 300, 7, 21, 16};
  std::printf("\nrandom input, against float64: %d RoIs, %d x %d maps, k %d, P %d\n", static_cast<int>(sizes.boxes),
              static_cast<int>(sizes.height), static_cast<int>(sizes.width), sizes.group_size, sizes.pooled_size);
  std::printf("GB/s count a cell as often as bins read it: caches can make that more than copying\n");
  for (const int classes : {20, small ? 300 : 80}) {
    CheckAndTime<float>(sizes, classes, runs, copy);
    CheckAndTime<BFloat16>(sizes, classes, runs, copy);
    CheckAndTime<Half>(sizes, classes, runs, copy);
  }
  CheckAndTimePool<float>(sizes, runs, copy);
  CheckAndTimePool<BFloat16>(sizes, runs, copy);
  CheckAndTimePool<Half>(sizes, runs, copy);
  std::printf("\n%s\n", failures ? "SOMETHING IS WRONG" : "all good");
  return failures ? 1 : 0;
}
