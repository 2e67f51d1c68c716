// Rows rounded to their grids by vectors, against the grid's own code() and value().
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "backends.h"
#include "compress/int_columns_cpu.h"
#include "ref/ops.h"
#include "weights/int_grid.h"

namespace pare {
namespace {

TEST(RoundToGrids, has_the_bits_of_each_grid_at_halves_ends_and_scales_that_vanish) {
  constexpr i64 kRows = 77;
  const float kSteps[] = {
      0, -0.0f, 0.5f, -0.5f, 1.5f, -2.5f, 0.49999997f, -0.49999997f, 7.5f, -8.5f, 300, -300, 1e30f};
  const Tensor noise = ref::normal({kRows}, 5);
  std::vector<IntGrid> grids;
  std::vector<float> w, scale, low, high;
  for (i64 r = 0; r < kRows; ++r) {
    const int top = r % 3 == 0   ? 3
                    : r % 3 == 1 ? 15
                                 : 255,
              zero = r % 2 ? (top + 1) / 2 : static_cast<int>(r % top);
    const float scales[] = {0.37f, -0.37f, 0x1p-14f, 0, INFINITY};
    grids.push_back({scales[r % 5], zero, top});
    const IntGrid& g = grids.back();
    const float steps = r % 2 ? kSteps[r / 2 % 13] : 4 * noise.f32()[r];
    w.push_back(std::isfinite(g.scale) ? steps * (g.scale == 0 ? 1 : g.scale) : steps);
    scale.push_back(g.scale), low.push_back(static_cast<float>(-zero));
    high.push_back(static_cast<float>(top - zero));
  }
  for_each_isa([&] {
    for (const i64 rows : {i64{1}, i64{3}, i64{8}, i64{48}, kRows}) {
      std::vector<float> q(kRows, 1234);
      std::vector<u8> codes(kRows, 99);
      cpu::round_to_grids_kernel()(
          rows, w.data(), {scale.data(), low.data(), high.data()}, q.data(), codes.data());
      for (i64 r = 0; r < kRows; ++r) {
        const auto at = static_cast<std::size_t>(r);
        const int code = r < rows ? grids[at].code(w[at]) : 99;
        const float value = r < rows ? grids[at].value(code) : 1234;
        EXPECT_EQ(codes[at], code) << r << ": " << w[at] << " on a scale of " << scale[at];
        if (std::isnan(value))
          EXPECT_TRUE(std::isnan(q[at])) << r;
        else
          EXPECT_EQ(std::bit_cast<u32>(q[at]), std::bit_cast<u32>(value)) << r;
      }
    }
  });
}

}  // namespace
}  // namespace pare
