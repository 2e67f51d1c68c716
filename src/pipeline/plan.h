// What a prepared run would take, stage by stage.
#pragma once
#include <vector>

#include "pipeline/prepare.h"

namespace pare {

/// Seconds are the stage's own estimate times what earlier runs on this tier really took (runs.db).
std::vector<PlanRow> plan_of(const Prepared& p);

/// Throws a user error when what is not cached goes beyond the recipe's limits, or, without `yes`, beyond the
/// memory and disk that are free now. Mapped model files do not count as memory that must be free.
void refuse_what_does_not_fit(const Prepared& p, const std::vector<PlanRow>& plan, bool yes);

}  // namespace pare
