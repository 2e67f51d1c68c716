#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "base/isa_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "base/isa.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
i64 own_target() { return HWY_TARGET; }
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
HWY_EXPORT(own_target);
i64 running_target() { return HWY_DYNAMIC_DISPATCH(own_target)(); }
}  // namespace pare
#endif
