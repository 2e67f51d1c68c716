#include "text/piece_table.h"

#include <bit>
#include <utility>

namespace pare {
namespace {

// At most 5 of 8 slots are taken, so runs of taken slots stay short.
std::size_t slots_for(std::size_t entries) { return std::bit_ceil(entries * 8 / 5 + 8); }

}  // namespace

PieceTable::PieceTable(std::size_t pieces) : slots_(slots_for(pieces)) {}

std::size_t PieceTable::place(u64 hash, std::string_view piece) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = static_cast<std::size_t>(hash >> 32) & mask;; at = (at + 1) & mask) {
    const Slot& s = slots_[at];
    if (s.id < 0) return at;
    if (s.hash == static_cast<u32>(hash) && s.bytes == piece.size() &&
        std::memcmp(bytes_.data() + s.offset, piece.data(), piece.size()) == 0)
      return at;
  }
}

bool PieceTable::add(std::string_view piece, i32 id) {
  if (count_ * 8 >= slots_.size() * 5) grow();
  const u64 hash = hash_text(piece);
  Slot& s = slots_[place(hash, piece)];
  if (s.id >= 0) return false;
  s = {id, static_cast<u32>(hash), static_cast<u32>(bytes_.size()), static_cast<u32>(piece.size())};
  bytes_.append(piece);
  ++count_;
  return true;
}

i32 PieceTable::find(std::string_view piece) const { return slots_[place(hash_text(piece), piece)].id; }

void PieceTable::grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
  for (const Slot& s : old) {
    if (s.id < 0) continue;
    const std::string_view piece = std::string_view(bytes_).substr(s.offset, s.bytes);
    slots_[place(hash_text(piece), piece)] = s;
  }
}

PairTable::PairTable(std::size_t pairs) : slots_(slots_for(pairs)) {}

void PairTable::set(i32 left, i32 right, Value value) {
  if (count_ * 8 >= slots_.size() * 5) grow();
  const u64 k = key(left, right);
  std::size_t at = place(k);
  while (slots_[at].key != kEmpty && slots_[at].key != k) at = (at + 1) & (slots_.size() - 1);
  if (slots_[at].key == kEmpty) ++count_;
  slots_[at] = {k, value};
}

void PairTable::grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
  count_ = 0;
  for (const Slot& s : old)
    if (s.key != kEmpty) set(static_cast<i32>(s.key >> 32), static_cast<i32>(s.key), s.value);
}

}  // namespace pare
