// Filters that compare: sort, dictsort, groupby, min, max, sum.
#include <algorithm>

#include "text/jinja/filters.h"
#include "text/jinja/members.h"
#include "text/jinja/operators.h"

namespace pare::jinja {
namespace {

bool is_on(const Value& v) { return !v.is_missing() && v.truthy(); }

struct Keyed {
  std::vector<Value> key;
  Value value;
};

// Python compares lists of keys: the first that differs decides.
bool keys_less(Runtime& rt, const std::vector<Value>& a, const std::vector<Value>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!rt.equal(a[i], b[i])) return rt.less(a[i], b[i]);
  return false;
}

Value sort(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "sort", {"reverse", "case_sensitive", "attribute"}, 0);
  std::vector<std::vector<Value>> paths;
  if (a[2].is_string()) {
    std::string_view rest = a[2].text();
    for (bool more = true; more;) {
      const std::size_t comma = rest.find(',');
      paths.push_back(attribute_path(rt, rt.string(std::string(rest.substr(0, comma)))));
      more = comma != rest.npos;
      if (more) rest.remove_prefix(comma + 1);
    }
  } else {
    paths.push_back(attribute_path(rt, a[2]));
  }
  std::vector<Keyed> all;
  for (Value& item : rt.collect(v)) {
    Keyed k;
    for (const auto& path : paths) {
      Value key = follow(rt, item, path);
      k.key.push_back(is_on(a[1]) ? key : without_case(rt, key));
    }
    k.value = std::move(item);
    all.push_back(std::move(k));
  }
  const bool reverse = is_on(a[0]);
  std::stable_sort(all.begin(), all.end(), [&](const Keyed& x, const Keyed& y) {
    return reverse ? keys_less(rt, y.key, x.key) : keys_less(rt, x.key, y.key);
  });
  std::vector<Value> out;
  for (Keyed& k : all) out.push_back(std::move(k.value));
  return rt.list(std::move(out));
}

Value dictsort(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "dictsort", {"case_sensitive", "by", "reverse"}, 0);
  const std::string by = a[1].is_missing() ? "key" : rt.str(a[1]);
  if (by != "key" && by != "value")
    rt.fail(ErrorKind::value, "You can only sort by either \"key\" or \"value\"");
  if (v.is_undefined()) rt.fail_undefined(v);
  if (!v.is(Kind::dict)) rt.fail(ErrorKind::type, "'{}' object has no attribute 'items'", v.type_name());
  std::vector<Keyed> all;
  for (const auto& [key, value] : v.dict().items) {
    const Value& sorted_by = by == "key" ? key : value;
    all.push_back({{is_on(a[0]) ? sorted_by : without_case(rt, sorted_by)}, rt.tuple({key, value})});
  }
  const bool reverse = is_on(a[2]);
  std::stable_sort(all.begin(), all.end(), [&](const Keyed& x, const Keyed& y) {
    return reverse ? rt.less(y.key[0], x.key[0]) : rt.less(x.key[0], y.key[0]);
  });
  std::vector<Value> out;
  for (Keyed& k : all) out.push_back(std::move(k.value));
  return rt.list(std::move(out));
}

Value groupby(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "groupby", {"attribute", "default", "case_sensitive"}, 1);
  const auto path = attribute_path(rt, a[0]);
  std::vector<Keyed> all;
  for (Value& item : rt.collect(v)) {
    const Value key = follow(rt, item, path, a[1]);
    all.push_back({{is_on(a[2]) ? key : without_case(rt, key), key}, std::move(item)});
  }
  std::stable_sort(
      all.begin(), all.end(), [&](const Keyed& x, const Keyed& y) { return rt.less(x.key[0], y.key[0]); });
  std::vector<Value> out;
  for (std::size_t i = 0; i < all.size();) {
    const std::size_t begin = i;
    std::vector<Value> members;
    for (; i < all.size() && rt.equal(all[i].key[0], all[begin].key[0]); ++i) members.push_back(all[i].value);
    if (i == begin) ++i;  // a key that is not equal to itself (nan)
    Value group = rt.tuple({all[begin].key[1], rt.list(std::move(members))});
    group.as<List>().is_group = true;
    out.push_back(std::move(group));
  }
  return rt.list(std::move(out));
}

template <bool kMax>
Value extreme(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, kMax ? "max" : "min", {"case_sensitive", "attribute"}, 0);
  const auto path = attribute_path(rt, a[1]);
  auto key_of = [&](const Value& item) {
    Value key = follow(rt, item, path);
    return is_on(a[0]) ? key : without_case(rt, key);
  };
  auto it = rt.iterate(v);
  Value best;
  if (!it->next(rt, best)) return Value::undefined("No aggregated item, sequence was empty.");
  Value best_key = key_of(best);
  for (Value item; it->next(rt, item);) {
    Value key = key_of(item);
    if (kMax ? !rt.less(best_key, key, ">") : !rt.less(key, best_key)) continue;
    best = std::move(item), best_key = std::move(key);
  }
  return best;
}

Value sum(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "sum", {"attribute", "start"}, 0);
  const auto path = attribute_path(rt, a[0]);
  Value total = a[1].is_missing() ? Value(0) : a[1];
  if (total.is_string()) rt.fail(ErrorKind::type, "sum() can't sum strings [use ''.join(seq) instead]");
  auto it = rt.iterate(v);
  for (Value item; it->next(rt, item);) total = arithmetic(rt, Operator::add, total, follow(rt, item, path));
  return total;
}

constexpr NamedNative kFilters[] = {{"dictsort", dictsort},
                                    {"groupby", groupby},
                                    {"max", extreme<true>},
                                    {"min", extreme<false>},
                                    {"sort", sort},
                                    {"sum", sum}};

}  // namespace

Native find_order_filter(std::string_view name) { return find_in(kFilters, name); }

}  // namespace pare::jinja
