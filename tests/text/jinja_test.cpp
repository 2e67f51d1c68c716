// The interpreter of templates against Jinja2 3.1 in transformers' environment: tests/golden/jinja/*.json
// hold templates written for this test and what Jinja2 made of them. Then the bounds, which Jinja2 does not
// have.
#include "text/jinja/jinja.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/json.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using jinja::ErrorKind;
using jinja::Limits;
using jinja::Template;
using jinja::TemplateError;
using jinja::Value;

std::tm stopped() {
  std::tm t{};
  t.tm_year = 125, t.tm_mon = 2, t.tm_mday = 9, t.tm_hour = 13, t.tm_min = 5, t.tm_sec = 7;
  return t;
}

std::string render(const std::string& source,
                   const json& variables = json::object(),
                   const Limits& limits = {}) {
  return Template::parse(source, limits).render(Value::from_json(variables), stopped);
}

class Golden : public testing::TestWithParam<const char*> {};

// {"variables": {…}, "cases": [[template, output] or [template, null, error class], …]}
TEST_P(Golden, as_jinja2) {
  const json file = read_json(fs::path(PARE_TEST_DATA) / "jinja" / GetParam());
  const Value variables = Value::from_json(file.at("variables"));
  for (const json& c : file.at("cases")) {
    const std::string source = c.at(0).get<std::string>();
    try {
      const std::string text = Template::parse(source).render(variables, stopped);
      EXPECT_EQ(c.at(1).is_null() ? "error " + c.at(2).get<std::string>() : c.at(1).get<std::string>(), text)
          << source;
    } catch (const TemplateError& e) {
      EXPECT_TRUE(c.at(1).is_null()) << source << "\n" << e.what();
      const std::string expected = c.size() > 2 ? c.at(2).get<std::string>() : "";
      EXPECT_EQ(expected == "UndefinedError", e.kind() == ErrorKind::undefined) << source << "\n" << e.what();
      EXPECT_EQ(expected == "TemplateError", e.kind() == ErrorKind::raised) << source << "\n" << e.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Jinja,
    Golden,
    testing::Values("expressions.json", "statements.json", "whitespace.json", "random.json"),
    [](const auto& p) { return std::string(p.param).substr(0, std::string(p.param).find('.')); });

TEST(Jinja, undefined_is_not_none) {
  const json v = {{"n", nullptr}};
  EXPECT_EQ(render("{{ n is none }}{{ x is none }}{{ n is defined }}{{ x is defined }}", v),
            "TrueFalseTrueFalse");
  EXPECT_EQ(render("[{{ x }}][{{ n }}]", v), "[][None]");
}

ErrorKind error_of(const std::string& source, int line = 0, const Limits& limits = {}) {
  try {
    render(source, json::object(), limits);
  } catch (const TemplateError& e) {
    if (line) EXPECT_EQ(e.line(), line) << source.substr(0, 200) << "\n" << e.what();
    return e.kind();
  }
  ADD_FAILURE() << "no error: " << source.substr(0, 200);
  return ErrorKind::runtime;
}

TEST(Jinja, errors_name_the_line) {
  EXPECT_EQ(error_of("a\nb\n{{ x.y }}\n", 3), ErrorKind::undefined);
  EXPECT_EQ(error_of("a\n{% if true %}\n{{ raise_exception('no') }}{% endif %}", 3), ErrorKind::raised);
  EXPECT_EQ(error_of("a\n{{ 1 + }}", 2), ErrorKind::syntax);
  EXPECT_EQ(error_of("\n\n{% frob %}", 3), ErrorKind::syntax);
  EXPECT_EQ(error_of("\n{{ 1|frob }}", 2), ErrorKind::syntax);
  EXPECT_EQ(error_of("\n{{ 1 is frob }}", 2), ErrorKind::syntax);
  EXPECT_EQ(error_of("\n{{ 'a'|urlize }}", 2), ErrorKind::unsupported);
  EXPECT_EQ(error_of("\r\n{% include 'a' %}", 2), ErrorKind::unsupported);
  EXPECT_EQ(error_of("{{ [].append(1) }}", 1), ErrorKind::security);
  EXPECT_EQ(error_of("\xFF", 1), ErrorKind::syntax);
}

std::string repeated(const std::string& text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

TEST(Jinja, deep_syntax_is_an_error_and_no_crash) {
  constexpr int kDeep = 100'000;
  for (const char* opening :
       {"(", "[", "-", "not ", "{1:", "1 if ", "x[", "x(", "1+(", "a if b else ", "x|f("})
    error_of("{{ " + repeated(opening, kDeep) + "1");
  EXPECT_EQ(error_of("{{ " + repeated("(", kDeep) + "1" + repeated(")", kDeep) + " }}"), ErrorKind::limit);
  EXPECT_EQ(error_of("{{ 1" + repeated("+1", kDeep) + " }}"), ErrorKind::limit);
  EXPECT_EQ(error_of("{{ 1" + repeated("|abs", kDeep) + " }}"), ErrorKind::limit);
  EXPECT_EQ(error_of("{{ x" + repeated(".x", kDeep) + " }}"), ErrorKind::limit);
  EXPECT_EQ(error_of(repeated("{% if true %}", 50'000)), ErrorKind::limit);
  EXPECT_EQ(error_of(repeated("{% for x in y %}", 50'000)), ErrorKind::limit);
  EXPECT_EQ(render("{{ 1" + repeated("~1", 1000) + " }}"), repeated("1", 1001));
  EXPECT_EQ(render("{% if 0 %}" + repeated("{% elif 0 %}", 5000) + "{% else %}e{% endif %}"), "e");
  EXPECT_EQ(render("{{ " + repeated("(", 60) + "1" + repeated(")", 60) + " }}"), "1");
}

TEST(Jinja, deep_values_and_calls_are_errors_and_no_crash) {
  EXPECT_EQ(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), ErrorKind::limit);
  EXPECT_EQ(error_of("{% macro a(f) %}{{ f(f) }}{% endmacro %}{{ a(a) }}"), ErrorKind::limit);
  EXPECT_EQ(error_of("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), ErrorKind::limit);
  const std::string grow = "{% set n = namespace(v=[]) %}{% for i in range(100000) %}{% set n.v = ";
  for (const char* deeper : {"[n.v]",
                             "(n.v,)",
                             "{1: n.v}",
                             "n.v|map('list')",
                             "dict(a=n.v).items()",
                             "cycler(n.v)",
                             "joiner(n.v)",
                             "[n.v]|select"})
    EXPECT_EQ(error_of(grow + std::string(deeper) + " %}{% endfor %}"), ErrorKind::limit) << deeper;
  // One value many times over: short to make, endless to print or compare.
  const std::string twice =
      "{% set n = namespace(v=[1], w=[1]) %}{% for i in range(100) %}{% set n.v = [n.v, n.v] %}"
      "{% set n.w = [n.w, n.w] %}{% endfor %}";
  for (const char* use :
       {"{{ n.v }}", "{{ n.v|tojson }}", "{{ n.v == n.w }}", "{{ n.v < n.w }}", "{{ n.v in [n.w] }}"})
    EXPECT_EQ(error_of(twice + use), ErrorKind::limit) << use;
  // Namespaces and macros may hold each other.
  EXPECT_EQ(
      render("{% set n = namespace() %}{% set n.n = n %}{% macro m() %}{% endmacro %}{% set n.m = m %}ok"),
      "ok");
  EXPECT_EQ(error_of("{% set n = namespace() %}{% set n.n = n %}{{ n }}"), ErrorKind::limit);
  EXPECT_EQ(
      render(
          "{% set n = namespace(m=1) %}{% macro f(h) %}{% macro g() %}{{ h }}{% endmacro %}{% set n.m = g %}"
          "{% endmacro %}{% for i in range(20000) %}{{ f(n.m) }}{% endfor %}ok"),
      "ok");
}

TEST(Jinja, endless_work_and_huge_values_are_errors) {
  const std::string nest = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
  EXPECT_EQ(error_of(nest), ErrorKind::limit);
  Limits few;
  few.value_bytes = few.made_bytes = 16 << 20;
  for (const char* huge : {"'x' * 10**12",
                           "[1] * 10**12",
                           "'%1000000000d' % 1",
                           "'{:1000000000}'.format(1)",
                           "'x'.center(10**12)",
                           "'x'.zfill(10**12)",
                           "'x'|center(10**12)",
                           "'a\n'|indent(10**12)",
                           "[1]|tojson(indent=10**12)",
                           "[1]|batch(10**10, 0)|list",
                           "[1]|slice(10**12)|list",
                           "'\t'.expandtabs(10**12)",
                           "'%.100000000f' % 1",
                           "('x' * 10**5).replace('x', 'y' * 10**5)",
                           "('x' * 10**5)|replace('', 'y' * 10**5)",
                           "('x' * 10**5)|join('y' * 10**5)",
                           "strftime_now('%1000000d')",
                           "range(10**5)|map('list')|list"})
    EXPECT_NE(error_of("{{ " + std::string(huge) + " }}", 0, few), ErrorKind::undefined) << huge;
  few.steps = 1000;
  EXPECT_EQ(error_of("{% for a in range(2000) %}x{% endfor %}", 0, few), ErrorKind::limit);
  EXPECT_EQ(
      error_of(
          "{% set n = namespace(s='x') %}{% for i in range(100) %}{% set n.s = n.s ~ n.s %}{% endfor %}"),
      ErrorKind::limit);
  EXPECT_EQ(error_of("{{ 2 ** 127 }}"), ErrorKind::overflow);
  EXPECT_EQ(error_of("{{ 10 ** 10 ** 10 }}"), ErrorKind::overflow);
  EXPECT_EQ(error_of("{{ range(10**6) }}"), ErrorKind::overflow);
  Limits small;
  small.output_bytes = 100;
  EXPECT_EQ(error_of("{% for a in range(200) %}x{% endfor %}", 0, small), ErrorKind::limit);
  small.source_bytes = 10;
  EXPECT_EQ(error_of("12345678901", 0, small), ErrorKind::limit);
}

TEST(Jinja, one_template_renders_in_several_threads) {
  const Template t = Template::parse("{% for x in range(200) %}{{ x }}{{ s|upper }}{% endfor %}");
  const Value variables = Value::from_json({{"s", "ab"}});
  const std::string expected = t.render(variables);
  std::vector<std::thread> threads;
  std::vector<std::string> out(4);
  for (std::string& o : out) threads.emplace_back([&] { o = t.render(variables); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& o : out) EXPECT_EQ(o, expected);
}

}  // namespace
}  // namespace pare
