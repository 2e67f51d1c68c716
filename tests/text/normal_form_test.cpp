#include "text/normal_form.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <random>

#include "text/normalizer.h"

namespace pare {
namespace {

TEST(NormalForm, ComposesAndDecomposes) {
  EXPECT_EQ(normal_form("e\u0301", NormalForm::nfc), "\u00e9");
  EXPECT_EQ(normal_form("\u00e9", NormalForm::nfd), "e\u0301");
  EXPECT_EQ(normal_form("\ufb01\u00b2", NormalForm::nfc), "\ufb01\u00b2");
  EXPECT_EQ(normal_form("\ufb01\u00b2", NormalForm::nfkc), "fi2");
  EXPECT_EQ(normal_form("\uac00", NormalForm::nfd), "\u1100\u1161");
  EXPECT_EQ(normal_form("\u1100\u1161", NormalForm::nfc), "\uac00");
  EXPECT_EQ(normal_form("a\u0315\u0300", NormalForm::nfc), "\u00e0\u0315") << "marks in their order";
  EXPECT_EQ(normal_form("", NormalForm::nfc), "");
}

// The short way around what is composed already, against the library's way over the whole text.
TEST(NormalForm, ComposingInPartsEqualsComposingTheWhole) {
  const std::vector<std::string> parts = {"a",      "e",      " ",      "\u0301", "\u0323", "\u00e9",
                                          "\u2013", "\u4e2d", "\u1100", "\u1161", "\u11a8", "\uac00",
                                          "\u0915", "\u093c", "\u3046", "\u3099", "\u212b", "\u0387",
                                          "\u0438", "\u0306", "😀"};
  std::mt19937 rng(9);
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (std::size_t n = rng() % 12; n > 0; --n) text += parts[rng() % parts.size()];
    // NFD has no short way; composing what it gives is composing the text.
    ASSERT_EQ(normal_form(text, NormalForm::nfc),
              normal_form(normal_form(text, NormalForm::nfd), NormalForm::nfc))
        << text;
    utf8proc_uint8_t* whole = utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str()));
    ASSERT_EQ(normal_form(text, NormalForm::nfc), reinterpret_cast<const char*>(whole)) << text;
    std::free(whole);
  }
}

TEST(NormalForm, MarksNewerThanTheReferenceStayWhereTheyAre) {
  EXPECT_EQ(normal_form("a\u1ac1\u0323", NormalForm::nfd), "a\u1ac1\u0323");
  EXPECT_EQ(normal_form("a\u1ac1\u0301", NormalForm::nfc), "a\u1ac1\u0301");
  EXPECT_EQ(normal_form("e\u0301\u1ac1e\u0301", NormalForm::nfc), "\u00e9\u1ac1\u00e9");
}

TEST(NormalForm, KeepsBrokenBytes) {
  EXPECT_EQ(normal_form("e\u0301\xff\xc3", NormalForm::nfc), "\u00e9\xff\xc3");
}

TEST(LowerCase, EachCharacterByItself) {
  EXPECT_EQ(lower_case("AbÉΣ"), "abéσ");
  EXPECT_EQ(lower_case("ΑΣ"), "ασ") << "no final sigma";
  EXPECT_EQ(lower_case("\u0130\xff"), "i\u0307\xff");
  EXPECT_EQ(lower_case("\u1c89\U00010d51"), "\u1c8a\U00010d71") << "newer than the library";
  EXPECT_EQ(without_marks("e\u0301\u0323x"), "ex");
}

TEST(Normalizer, BuildsWhatTheFileAsksFor) {
  const auto run = [](const char* component, const std::string& text) {
    return make_normalizer(json::parse(component), "test")(text);
  };
  EXPECT_EQ(run(R"({"type": "Strip", "strip_left": true, "strip_right": false})", " \u3000a "), "a ");
  EXPECT_EQ(run(R"({"type": "Strip"})", "  "), "");
  EXPECT_EQ(run(R"({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "_"})", "a  b c   "),
            "a_b c_");
  EXPECT_EQ(run(R"({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type":
                    "Lowercase"}]})",
                "É"),
            "e");
  EXPECT_FALSE(make_normalizer(json(), "test"));
}

}  // namespace
}  // namespace pare
