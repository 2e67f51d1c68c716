// Shapes, views, who owns the bytes, conversions, and what is refused.
#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/threads.h"
#include "tensor/half.h"

namespace pare {
namespace {

Tensor counting(const Shape& shape) {
  Tensor t = Tensor::empty(shape);
  for (i64 i = 0; i < t.count(); ++i) t.f32()[i] = static_cast<float>(i);
  return t;
}

template <class Body>
std::string bug_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::bug) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

TEST(Shape, CountsComparesAndShowsItself) {
  EXPECT_EQ(Shape().count(), 1);
  EXPECT_EQ(Shape().text(), "()");
  EXPECT_EQ((Shape{3, 4, 5, 6}.count()), 360);
  EXPECT_EQ((Shape{3, 0, 5}.count()), 0);
  EXPECT_EQ((Shape{3, 64}.text()), "(3, 64)");
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{6}), (Shape{6, 1}));
  EXPECT_THROW((Shape{1, 1, 1, 1, 1}), Error);
}

TEST(Tensor, HasTheBytesOfItsTypeAlignedForVectors) {
  const struct {
    DType dtype;
    const char* name;
    i64 bytes;
  } all[] = {{DType::f32, "f32", 4},
             {DType::bf16, "bf16", 2},
             {DType::f16, "f16", 2},
             {DType::f64, "f64", 8},
             {DType::i8, "i8", 1},
             {DType::u8, "u8", 1},
             {DType::i16, "i16", 2},
             {DType::i32, "i32", 4},
             {DType::i64, "i64", 8}};
  for (const auto& [dtype, name, bytes] : all) {
    EXPECT_EQ(dtype_bytes(dtype), bytes) << name;
    EXPECT_STREQ(dtype_name(dtype), name);
    for (const i64 n : {0, 1, 63, 65, 3000000}) {
      const Tensor t = Tensor::zeros({n}, dtype);
      EXPECT_TRUE(t.defined());
      EXPECT_EQ(t.bytes(), n * bytes);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.raw()) % 64, 0u);
      const u8* byte = static_cast<const u8*>(t.raw());
      EXPECT_EQ(std::accumulate(byte, byte + t.bytes(), i64{0}), 0) << name << " " << n;
    }
  }
  EXPECT_FALSE(Tensor().defined());
}

TEST(Tensor, CopiesShareAndClonesDoNot) {
  Tensor a = counting({4, 3});
  Tensor view = a, copy = a.clone();
  a.f32()[5] = -1;
  EXPECT_EQ(view.f32()[5], -1);
  EXPECT_EQ(copy.f32()[5], 5);
}

TEST(Tensor, RowsAndReshapesAreViewsThatKeepTheBytesAlive) {
  Tensor middle, flat;
  {
    Tensor t = counting({5, 2, 3});
    middle = t.rows(1, 3);
    flat = t.reshaped({10, 3});
    middle.f32()[0] = 100;
    EXPECT_EQ(t.f32()[6], 100);
  }
  EXPECT_EQ(middle.shape(), (Shape{2, 2, 3}));
  EXPECT_EQ(middle.f32()[11], 17);
  EXPECT_EQ(middle.rows(1, 2).f32()[0], 12);
  EXPECT_EQ(flat.f32()[6], 100);
  EXPECT_EQ(flat.rows(10, 10).count(), 0);
  EXPECT_EQ(flat.rows(9, 10).f32()[2], 29);
  const Tensor half = counting({4, 2}).to(DType::f16);
  EXPECT_EQ(f16_to_f32(half.rows(3, 4).data<u16>()[1]), 7);
}

TEST(Tensor, ResizedItKeepsItsMemoryUnlessOthersLookAtIt) {
  Tensor t = Tensor::zeros({10, 8});
  const void* const memory = t.raw();
  for (const Shape& shape : {Shape{3, 8}, Shape{10, 8}, Shape{80}, Shape{1, 1}, Shape{0, 8}}) {
    t.resize(shape);
    EXPECT_EQ(t.shape(), shape);
    EXPECT_EQ(t.raw(), memory) << shape.text();
  }
  t.resize({10, 8});
  t.zero();
  const Tensor row = t.rows(2, 3);
  t.resize({5, 8});
  EXPECT_NE(t.raw(), memory);
  EXPECT_EQ(row.raw(), static_cast<const float*>(memory) + 16);
  for (const float x : row.span<float>()) EXPECT_EQ(x, 0);
  // A view is no memory of its own, even when it is the last that looks.
  Tensor last = Tensor::zeros({10, 8}).rows(2, 3);
  const void* const middle = last.raw();
  last.resize({1, 4});
  EXPECT_NE(last.raw(), middle);
  t.resize({100, 8});
  EXPECT_EQ(t.count(), 800);
  Tensor half = Tensor::empty({4, 4}, DType::bf16);
  half.resize({2, 4});
  EXPECT_EQ(half.dtype(), DType::f32);
  Tensor none;
  none.resize({2});
  EXPECT_EQ(none.count(), 2);
}

TEST(Tensor, BoundsShapesAndTypesAreChecked) {
  const Tensor t = counting({5, 3});
  EXPECT_NE(bug_of([&] { t.rows(4, 6); }).find("[4, 6) of (5, 3)"), std::string::npos);
  EXPECT_NE(bug_of([&] { t.rows(-1, 2); }).find("[-1, 2)"), std::string::npos);
  bug_of([&] { t.rows(3, 2); });
  bug_of([&] { Tensor::zeros({}).rows(0, 1); });
  EXPECT_NE(bug_of([&] { t.reshaped({4, 4}); }).find("(5, 3) reshaped to (4, 4)"), std::string::npos);
  EXPECT_NE(bug_of([&] { t.data<i32>(); }).find("f32 read as i32"), std::string::npos);
  bug_of([&] { t.data<u16>(); });
  bug_of([&] { Tensor::zeros({1}, DType::i16).data<u16>(); });
  bug_of([&] { Tensor::zeros({1}, DType::bf16).f32(); });
  bug_of([&] { Tensor::of({3}, std::vector<float>{1, 2}); });
  EXPECT_NE(bug_of([&] {
              expect("here", t, {5, 4});
            }).find("here: found f32 (5, 3), expected f32 (5, 4)"),
            std::string::npos);
  bug_of([&] { expect("here", t, {5, 3}, DType::f16); });
  EXPECT_NO_THROW(expect("here", t, {5, 3}));
  EXPECT_EQ((dims<2>("here", t)), (std::array<i64, 2>{5, 3}));
  EXPECT_NE(bug_of([&] { dims<3>("here", t); }).find("here: found f32 (5, 3)"), std::string::npos);
  bug_of([&] { dims<2>("here", t, DType::i32); });
}

TEST(Tensor, ViewsOfForeignMemoryKeepItsOwner) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4, 5, 6});
  const std::weak_ptr<std::vector<float>> watch = owner;
  Tensor part;
  {
    const Tensor t = Tensor::view({3, 2}, DType::f32, owner->data(), owner);
    owner.reset();
    part = t.rows(2, 3);
  }
  ASSERT_FALSE(watch.expired());
  EXPECT_EQ(part.f32()[1], 6);
  part = Tensor();
  EXPECT_TRUE(watch.expired());
}

TEST(Tensor, ConvertsLikeTheScalarFunctionsForAnyThreadCount) {
  Tensor t = Tensor::empty({100000});
  for (i64 i = 0; i < t.count(); ++i)
    t.f32()[i] = std::ldexp(static_cast<float>(i % 4001 - 2000) / 1999.0f, static_cast<int>(i % 60) - 40);
  t.f32()[7] = INFINITY;
  t.f32()[8] = NAN;
  for (const int count : {1, 3}) {
    set_threads(count);
    const Tensor h = t.to(DType::f16), b = t.to(DType::bf16), h32 = h.to_f32(), b32 = b.to_f32();
    for (i64 i = 0; i < t.count(); ++i) {
      ASSERT_EQ(h.data<u16>()[i], f32_to_f16(t.f32()[i]));
      ASSERT_EQ(b.data<u16>()[i], f32_to_bf16(t.f32()[i]));
      if (i == 8) continue;
      ASSERT_EQ(h32.f32()[i], f16_to_f32(h.data<u16>()[i]));
      ASSERT_EQ(b32.f32()[i], bf16_to_f32(b.data<u16>()[i]));
    }
  }
  set_threads(0);
  Tensor d = Tensor::zeros({2}, DType::f64);
  d.data<double>()[1] = 0.1;
  EXPECT_EQ(d.to_f32().f32()[1], 0.1f);
  EXPECT_EQ(Tensor::of({1}, std::vector<float>{0.1f}).to(DType::f64).data<double>()[0],
            static_cast<double>(0.1f));
  bug_of([] { Tensor::zeros({2}, DType::i32).to_f32(); });
  bug_of([] { Tensor::zeros({2}).to(DType::i8); });
}

TEST(Tensor, WhatWasMovedFromIsNotDefined) {
  Tensor a = counting({3, 4}), b = std::move(a);
  EXPECT_FALSE(a.defined());  // NOLINT(bugprone-use-after-move): the claim
  EXPECT_EQ(b.shape(), Shape({3, 4}));
  a = std::move(b);
  EXPECT_FALSE(b.defined());  // NOLINT(bugprone-use-after-move)
  b.resize({2});
  b.f32()[0] = 77;
  EXPECT_EQ(a.f32()[1], counting({3, 4}).f32()[1]);
  Tensor& same = a;
  a = std::move(same);
  EXPECT_TRUE(a.defined());
}

TEST(Tensor, ConversionsAndClonesAreCopies) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    Tensor t = counting({3}), other = t.to(dtype);
    t.f32()[1] = 50;
    EXPECT_EQ(other.to_f32().f32()[1], 1);
  }
}

TEST(Tensor, OutOfMemoryIsTheJobsError) {
  try {
    Tensor::empty({i64{1} << 50});
    ADD_FAILURE() << "allocated";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::job);
    EXPECT_NE(std::string(e.what()).find("out of memory"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace pare
