#include "base/digest.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

TEST(Digest, MatchesPublishedVectors) {  // FIPS 180-2, appendices A.1 and B.1
  Digest one(DigestKind::sha1), two(DigestKind::sha256);
  one.add("abc");
  two.add("abc");
  EXPECT_EQ(one.hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(two.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, PiecesAreWhatTheyMakeTogetherAndTheNextHashBeginsAnew) {
  Digest hash(DigestKind::sha1);
  for (const char* piece : {"a", "", "bc"}) hash.add(piece);
  EXPECT_EQ(hash.hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hash.hex(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");  // of nothing
}

}  // namespace
}  // namespace pare
