// The loops over pixels. Compiled once for every instruction set, into the namespace FCIS_TF_ISA.
//
// Bilinear interpolation is separable: within a tile of the image a region's mask is first stretched to the tile's
// columns, cell row by cell row; every row of pixels then is a mean of two such rows. What a tile needs stays in the
// cache, whatever the size of the image.

#include "mask_rendering_cpu.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "cpu_vectors.h"

namespace fcis_tf {
namespace FCIS_TF_ISA {
namespace {

constexpr int kTileRows = 64;
constexpr int kTileVectors = 8;
constexpr int kTileColumns = kTileVectors * kWidth;

typedef uint8_t Bytes __attribute__((vector_size(kWidth)));

struct Voter {
  const float* mask;
  float weight;
  RegionAxis rows;
  RegionAxis columns;
};

// The pixels around all voters of a detection, or around the pixels of its mask.
struct Rectangle {
  Range rows;
  Range columns;

  bool empty() const { return rows.size() <= 0 || columns.size() <= 0; }
};

inline Range Union(Range a, Range b) {
  if (a.size() <= 0) return b;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

inline Range Intersection(Range a, Range b) { return {std::max(a.begin, b.begin), std::min(a.end, b.end)}; }

// The cells between whose centres a pixel lies, and how near it is to the second one.
struct Interpolation {
  int first;
  int second;
  float share;
};

inline Interpolation Interpolate(const RegionAxis& axis, int pixel) {
  const float last = axis.cells - 1;
  float position = (static_cast<float>(pixel) + 0.5f - axis.low) / axis.side * axis.cells - 0.5f;
  position = position > 0 ? position : 0;
  position = position < last ? position : last;
  const int first = static_cast<int>(position);
  return {first, first + (position < last), position - static_cast<float>(first)};
}

class Renderer {
 public:
  explicit Renderer(const RenderingSizes& sizes)
      : sizes_(sizes),
        threshold_(sizes.threshold < 0 ? 0 : sizes.threshold),
        voters_(sizes.regions, Uninitialized()),
        cells_(sizes.cells, Uninitialized()),
        stretched_(sizes.cells * kTileVectors, Uninitialized()),
        sums_(kTileRows * kTileVectors, Uninitialized()) {}

  // Takes the regions that vote for a detection, and returns the pixels around them.
  Rectangle GatherVoters(const float* roi_masks, const float* rois, const float* votes) {
    Rectangle around = {{0, 0}, {0, 0}};
    count_ = 0;
    for (int64_t r = 0; r < sizes_.regions; ++r) {
      if (!(votes[r] > 0 && votes[r] <= FLT_MAX)) continue;
      const float* box = rois + 4 * r;
      const Voter voter = {roi_masks + r * sizes_.cells * sizes_.cells, votes[r],
                           RegionAxis(box[0], box[2], sizes_.height, sizes_),
                           RegionAxis(box[1], box[3], sizes_.width, sizes_)};
      if (voter.rows.pixels.size() <= 0 || voter.columns.pixels.size() <= 0) continue;
      around = {Union(around.rows, voter.rows.pixels), Union(around.columns, voter.columns.pixels)};
      voters_[count_++] = voter;
    }
    return around;
  }

  // Renders what the voters vote for in a rectangle, and returns the pixels around the mask.
  //
  // target: the rectangle's first pixel; stride: pixels from there to the one below.
  Rectangle Render(const Rectangle& rectangle, uint8_t* target, int64_t stride) {
    Rectangle tight = {{0, 0}, {0, 0}};
    for (int y = rectangle.rows.begin; y < rectangle.rows.end; y += kTileRows) {
      for (int x = rectangle.columns.begin; x < rectangle.columns.end; x += kTileColumns) {
        const Rectangle tile = {{y, std::min(y + kTileRows, rectangle.rows.end)},
                                {x, std::min(x + kTileColumns, rectangle.columns.end)}};
        sums_.Clear();
        for (int64_t i = 0; i < count_; ++i) AddVoter(voters_[i], tile);
        uint8_t* first = target + (y - rectangle.rows.begin) * stride + (x - rectangle.columns.begin);
        const Rectangle found = StoreTile(tile, first, stride);
        if (!found.empty()) tight = {Union(tight.rows, found.rows), Union(tight.columns, found.columns)};
      }
    }
    return tight;
  }

 private:
  void AddVoter(const Voter& voter, const Rectangle& tile) {
    const Range rows = Intersection(voter.rows.pixels, tile.rows);
    const Range columns = Intersection(voter.columns.pixels, tile.columns);
    if (rows.size() <= 0 || columns.size() <= 0) return;
    const Range vectors = {(columns.begin - tile.columns.begin) / kWidth,
                           (columns.end - tile.columns.begin + kWidth - 1) / kWidth};
    const Range cells = {Interpolate(voter.rows, rows.begin).first, Interpolate(voter.rows, rows.end - 1).second + 1};
    Stretch(voter, tile.columns.begin, columns, vectors, cells);
    for (int y = rows.begin; y < rows.end; ++y) {
      const Interpolation row = Interpolate(voter.rows, y);
      const Vector* upper = stretched_.data() + row.first * kTileVectors;
      const Vector* lower = stretched_.data() + row.second * kTileVectors;
      Vector* sums = sums_.data() + (y - tile.rows.begin) * kTileVectors;
      if (sizes_.threshold_first) {
        const float share = row.share, rest = 1 - row.share;
        for (int v = vectors.begin; v < vectors.end; ++v) {
          const Vector probability = rest * upper[v] + share * lower[v];
          sums[v] += probability > threshold_ ? Vector{} + voter.weight : Vector{};
        }
      } else {
        const float share = row.share * voter.weight, rest = (1 - row.share) * voter.weight;
        for (int v = vectors.begin; v < vectors.end; ++v) sums[v] += rest * upper[v] + share * lower[v];
      }
    }
  }

  // Stretches rows of cells of a voter's mask to columns of pixels; 0 in what else there is of the vectors.
  void Stretch(const Voter& voter, int first_column, Range columns, Range vectors, Range cells) {
    // Filled from the vectors' begin on.
    int first[kTileColumns], second[kTileColumns];
    float shares[kTileColumns], rests[kTileColumns];
    const int count = vectors.size() * kWidth, begin = first_column + vectors.begin * kWidth;
    for (int i = 0; i < count; ++i) {
      const Interpolation column = Interpolate(voter.columns, begin + i);
      const float covered = begin + i >= columns.begin && begin + i < columns.end ? 1.0f : 0.0f;
      first[i] = column.first;
      second[i] = column.second;
      shares[i] = column.share * covered;
      rests[i] = (1 - column.share) * covered;
    }
    float* const row = cells_.data();
    for (int cell = cells.begin; cell < cells.end; ++cell) {
      const float* source = voter.mask + cell * sizes_.cells;
      // What is no number is no probability.
      for (int64_t i = 0; i < sizes_.cells; ++i) row[i] = std::fabs(source[i]) <= FLT_MAX ? source[i] : 0.0f;
      float* target = reinterpret_cast<float*>(stretched_.data() + cell * kTileVectors + vectors.begin);
      for (int i = 0; i < count; ++i) target[i] = rests[i] * row[first[i]] + shares[i] * row[second[i]];
    }
  }

  // Compares a tile's sums with the threshold, and returns the pixels around those that are greater.
  Rectangle StoreTile(const Rectangle& tile, uint8_t* target, int64_t stride) const {
    const int columns = tile.columns.size();
    Bytes in_column[kTileVectors] = {};
    Rectangle found = {{tile.rows.end, 0}, {tile.columns.end, 0}};
    for (int y = tile.rows.begin; y < tile.rows.end; ++y) {
      const Vector* sums = sums_.data() + (y - tile.rows.begin) * kTileVectors;
      uint8_t* row = target + (y - tile.rows.begin) * stride;
      Bytes in_row = {};
      for (int v = 0; v * kWidth < columns; ++v) {
        const Mask greater = sums[v] > threshold_;
        const Bytes bytes = __builtin_convertvector(greater, Bytes) & 1;
        in_row |= bytes;
        in_column[v] |= bytes;
        std::memcpy(row + v * kWidth, &bytes, std::min(kWidth, columns - v * kWidth));
      }
      if (!IsAny(in_row)) continue;
      found.rows = {std::min(found.rows.begin, y), y + 1};
    }
    if (found.rows.size() <= 0) return found;
    uint8_t any[kTileColumns];
    std::memcpy(any, in_column, sizeof(any));
    for (int x = 0; x < columns; ++x) {
      if (!any[x]) continue;
      found.columns = {std::min(found.columns.begin, tile.columns.begin + x), tile.columns.begin + x + 1};
    }
    return found;
  }

  static bool IsAny(Bytes bytes) {
    uint64_t halves[2];
    std::memcpy(halves, &bytes, sizeof(halves));
    return halves[0] | halves[1];
  }

  const RenderingSizes& sizes_;
  float threshold_;
  Array<Voter> voters_;
  int64_t count_ = 0;
  // One row of a mask.
  Array<float> cells_;
  // Of a mask [cells, kTileVectors].
  Array<Vector> stretched_;
  // Of a tile [kTileRows, kTileVectors].
  Array<Vector> sums_;
};

void StoreBox(const Rectangle& tight, float* box) {
  box[0] = static_cast<float>(tight.rows.begin);
  box[1] = static_cast<float>(tight.columns.begin);
  box[2] = static_cast<float>(tight.rows.end);
  box[3] = static_cast<float>(tight.columns.end);
}

void RenderMasks(const RenderingSizes& sizes, const float* roi_masks, const float* rois, const float* votes,
                 int64_t begin, int64_t end, float* boxes, uint8_t* masks) {
  Renderer renderer(sizes);
  for (int64_t d = begin; d < end; ++d) {
    const Rectangle around = renderer.GatherVoters(roi_masks, rois, votes + d * sizes.regions);
    uint8_t* mask = masks + d * sizes.height * sizes.width;
    if (const int64_t pixels = sizes.height * sizes.width) std::memset(mask, 0, pixels);
    uint8_t* first = mask + around.rows.begin * sizes.width + around.columns.begin;
    StoreBox(renderer.Render(around, first, sizes.width), boxes + 4 * d);
  }
}

// Calls function(cell, overlap) for the cells of a grid that a pixel overlaps, where grid cells and pixels divide the
// same extent: `pixels` pixels of size `cells`, and `cells` cells of size `pixels`. In these units all is whole.
template <typename Function>
inline void ForEachCellOf(int64_t pixel, int64_t pixels, int64_t cells, Function function) {
  const int64_t begin = pixel * cells, end = begin + cells;
  for (int64_t cell = begin / pixels; cell * pixels < end; ++cell) {
    function(cell, std::min(end, (cell + 1) * pixels) - std::max(begin, cell * pixels));
  }
}

// Which fraction of every cell of a grid over a rectangle is covered.
//
// mask: the rectangle's first pixel; stride: pixels from there to the one below; target [size, size].
void StoreCoverage(const uint8_t* mask, int64_t stride, int64_t height, int64_t width, int64_t size, float* target) {
  Array<int64_t> covered(size * size), covered_in_row(size, Uninitialized());
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* row = mask + y * stride;
    // What lies in a cell of whole pixels, and what the pixels on its edges add or take away.
    int64_t before = 0;
    for (int64_t cell = 0; cell < size; ++cell) {
      const int64_t begin = cell * width / size, end = (cell + 1) * width / size;
      const int64_t cut = (cell + 1) * width % size;
      int64_t whole = 0;
      for (int64_t x = begin; x < end; ++x) whole += row[x];
      const int64_t after = cut ? cut * row[end] : 0;
      covered_in_row[cell] = whole * size - before + after;
      before = after;
    }
    ForEachCellOf(y, height, size, [&](int64_t cell, int64_t overlap) {
      for (int64_t i = 0; i < size; ++i) covered[cell * size + i] += overlap * covered_in_row[i];
    });
  }
  const double area = static_cast<double>(height * width);
  for (int64_t i = 0; i < size * size; ++i) {
    target[i] = static_cast<float>(static_cast<double>(covered[i]) / area);
  }
}

void RenderInBoxes(const RenderingSizes& sizes, const float* roi_masks, const float* rois, const float* votes,
                   int64_t mask_size, int64_t begin, int64_t end, float* boxes, float* box_masks) {
  Renderer renderer(sizes);
  for (int64_t d = begin; d < end; ++d) {
    const Rectangle around = renderer.GatherVoters(roi_masks, rois, votes + d * sizes.regions);
    const int64_t stride = around.columns.size();
    Array<uint8_t> mask(around.rows.size() * stride, Uninitialized());
    const Rectangle tight = renderer.Render(around, mask.data(), stride);
    StoreBox(tight, boxes + 4 * d);
    float* box_mask = box_masks + d * mask_size * mask_size;
    if (tight.empty()) {
      std::fill(box_mask, box_mask + mask_size * mask_size, 0.0f);
      continue;
    }
    const uint8_t* first = mask.data() + (tight.rows.begin - around.rows.begin) * stride +
                           (tight.columns.begin - around.columns.begin);
    StoreCoverage(first, stride, tight.rows.size(), tight.columns.size(), mask_size, box_mask);
  }
}

}  // namespace

extern const MaskKernels kMaskKernels;
const MaskKernels kMaskKernels = {RenderMasks, RenderInBoxes};

}  // namespace FCIS_TF_ISA
}  // namespace fcis_tf
