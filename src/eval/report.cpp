#include "eval/report.h"

#include <cmath>

namespace pare {
namespace {

json number_or_null(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }
json number_or_null(const std::optional<double>& value) {
  return value ? number_or_null(*value) : json(nullptr);
}

json variant_json(const VariantRow& row) {
  json measures = json::object(), against = json::object();
  for (const auto& [name, cell] : row.measures) {
    measures[name] = {{"value", number_or_null(cell.value)},
                      {"lo", number_or_null(cell.lo)},
                      {"hi", number_or_null(cell.hi)},
                      {"n", cell.n},
                      {"unit", cell.unit}};
  }
  for (const auto& [name, cell] : row.against_baseline) {
    against[name] = {{"difference", number_or_null(cell.difference)},
                     {"lo", number_or_null(cell.lo)},
                     {"hi", number_or_null(cell.hi)},
                     {"p", number_or_null(cell.p)}};
  }
  return {{"name", row.name},
          {"artefact", row.artefact},
          {"artefact_hash", row.artefact_hash},
          {"bytes", row.bytes},
          {"broken", row.broken},
          {"measures", measures},
          {"against_baseline", against},
          {"pareto", row.pareto}};
}

}  // namespace

json report_json(const ReportData& data) {
  json variants = json::array();
  for (const VariantRow& row : data.variants) variants.push_back(variant_json(row));
  return {{"run", data.run}, {"recipe", data.recipe}, {"variants", variants}};
}

}  // namespace pare
