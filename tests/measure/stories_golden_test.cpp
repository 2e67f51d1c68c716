// The one trained model of the fixtures: its text's negative log-likelihood as the reference library has it.
#include "measure/score.h"
#include "model/fixture.h"

namespace pare {
namespace {

TEST(Stories, MeanNegativeLogLikelihoodIsTheReferences) {
  if (!std::filesystem::exists(fixture::stories()))
    GTEST_SKIP() << "the folder of shared fixtures is not here";
  std::vector<std::vector<i32>> documents;
  for (const i32 id : fixture::ids(fixture::golden(fixture::stories()).tensor("doc_ids"))) {
    if (id == 1) documents.emplace_back();  // BOS begins a document
    ASSERT_FALSE(documents.empty());
    documents.back().push_back(id);
  }
  ASSERT_EQ(documents.size(), 5u);
  const Score s = score_sequences(load_model(fixture::stories()), documents, {});
  EXPECT_EQ(s.tokens, 1804);
  EXPECT_NEAR(s.nll_mean(), 1.2664409, 1e-4);
}

}  // namespace
}  // namespace pare
