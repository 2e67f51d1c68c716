// Which weights of a matrix (N, K) are kept, packed, and where the values of each row begin. The sparse
// formats store it beside the kept values, which follow each other row by row.
//
//   any           .mask u8 (N, ⌈K/8⌉)    a bit per weight: k%8 (lowest first) of byte k/8, 1 = kept
//   two_of_four   .pairs u8 (N, ⌈K/12⌉)  exactly two of every four columns, K % 4 = 0: a byte for three
//   groups
//                                        of four, p0 + 6·p1 + 36·p2 < 216; behind column K p is 0
//
// p numbers the pair that a group keeps: 0, 1 · 0, 2 · 0, 3 · 1, 2 · 1, 3 · 2, 3. So 2:4 takes 0.667 bits a
// weight where a mask takes 1; the bound is log₂(6)/4 = 0.646.
//
// Values are counted when this is made: 4 bytes of memory for kKeptRun weights, which are not stored.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "tensor/tensor.h"

namespace pare {

enum class KeptPattern : u8 { any, two_of_four };

/// Columns between two counts of a row: as many as a tile of a product has (ops/gemm.h).
inline constexpr i64 kKeptRun = 384;

/// Part of a row. `mask` holds the bit of column k as bit (k − base)%8 of byte (k − base)/8.
struct KeptRun {
  const u8* mask;
  i64 base;
  i64 first;  // index in the row of the first value from the run's first column on
  i64 count;  // values of the run
};

class KeptPlaces {
 public:
  KeptPlaces() = default;
  /// `stored` as it lies in a file. Throws a user error starting with `where` on another shape or dtype, bits
  /// or pairs behind column K, bytes that are no pairs, and K % 4 ≠ 0 of two_of_four.
  KeptPlaces(const std::string& where, i64 rows, i64 cols, KeptPattern pattern, Tensor stored);

  i64 rows() const { return stored_.dim(0); }
  i64 cols() const { return cols_; }
  KeptPattern pattern() const { return pattern_; }
  const Tensor& stored() const { return stored_; }
  /// ".mask" or ".pairs".
  const char* suffix() const;

  /// Kept weights: of all rows, of the rows before n, of row n.
  i64 kept() const { return before_.back(); }
  i64 kept_before(i64 n) const { return before_[static_cast<std::size_t>(n)]; }
  i64 kept_in(i64 n) const { return kept_before(n + 1) - kept_before(n); }

  /// End of the run of columns that begins at k.
  static i64 run_end(i64 k) { return (k / kKeptRun + 1) * kKeptRun; }
  /// Row n, columns [k, end) with end ≤ run_end(k). The mask lies in `room` (kRoom bytes) or in the tensor.
  static constexpr i64 kRoom = kKeptRun / 8 + 8;
  KeptRun run(i64 n, i64 k, i64 end, u8* room) const {
    if (pattern_ != KeptPattern::any || k % kKeptRun != 0 || end != std::min(cols_, k + kKeptRun))
      return part_of_run(n, k, end, room);
    // A whole run, as products ask for it.
    const i64 r = k / kKeptRun, at = n * runs_ + r;
    const i64 first = counts_[static_cast<std::size_t>(at)];
    const i64 next = r + 1 < runs_ ? counts_[static_cast<std::size_t>(at + 1)] : kept_in(n);
    return {bytes_ + n * row_bytes_ + k / 8, k, first, next - first};
  }

  /// u8 (N, K), 1 = kept.
  Tensor unpacked() const;

 private:
  KeptRun part_of_run(i64 n, i64 k, i64 end, u8* room) const;
  void count_bits(const std::string& where);
  void count_pairs(const std::string& where);

  i64 cols_ = 0;
  KeptPattern pattern_ = KeptPattern::any;
  Tensor stored_;
  const u8* bytes_ = nullptr;  // of stored_, and how many a row has
  i64 row_bytes_ = 0;
  i64 runs_ = 0;                // of a row
  std::vector<i64> before_{0};  // (N + 1)
  std::vector<u32> counts_;     // (N, ⌈K/kKeptRun⌉) of a mask: values of the row before each run
};

/// Number of bits set among the first `count` of `mask`.
i64 bits_before(const u8* mask, i64 count);

/// Whether no four columns of `keep` u8 (N, K) keep more than two, and K % 4 = 0.
bool fits_two_of_four(const Tensor& keep);
/// Packs `keep` u8 (N, K), 1 = kept. Groups of two_of_four that keep fewer than two keep their first columns
/// as well: whoever makes the values stores zeros there. Throws a user error when `keep` does not fit.
KeptPlaces pack_places(const Tensor& keep, KeptPattern pattern);
/// "2:4", as options say it; a mask has no option "pattern".
const char* kept_pattern_name(KeptPattern pattern);
/// What options and tensors of a stored weight say. Throws a user error as the constructor does.
KeptPlaces read_kept_places(const std::string& where,
                            const json& options,
                            i64 rows,
                            i64 cols,
                            const std::function<Tensor(const std::string& suffix)>& tensor);
/// The pattern of fewest bytes for values of `bits` each.
KeptPattern smallest_pattern(const Tensor& keep, i64 bits);

}  // namespace pare
