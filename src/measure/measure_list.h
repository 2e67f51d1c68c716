// The measures of this folder, one line each; only registry.cpp includes it.
//
// pare_measure is a static library, from which a linker drops an object that nothing refers to: so a measure
// is referred to here instead of registering itself. Folders above add theirs with add_measure().
#pragma once
#include "measure/measure.h"

namespace pare {

MeasureInfo size_measure();

inline constexpr MeasureInfo (*kMeasures[])() = {
    size_measure,
};

}  // namespace pare
