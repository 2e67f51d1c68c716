#include "text/jinja/strftime.h"

#include <locale.h>

namespace pare::jinja {

std::optional<std::string> strftime_text(const std::string& format, std::tm time) {
  // What Python fills in by itself: a naive time has no zone, and ours has whole seconds.
  std::string plain;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      plain += format[i];
      continue;
    }
    const char c = format[++i];
    if (c == 'f')
      plain += "000000";
    else if (c != 'z' && c != 'Z')
      plain += {'%', c};
  }
  std::tm days = time;
  days.tm_isdst = 0;
  timegm(&days);
  time.tm_wday = days.tm_wday, time.tm_yday = days.tm_yday;

  static const locale_t kPlainLocale = newlocale(LC_ALL_MASK, "C", locale_t{});
  plain += '.';  // so that no text is told from too long a text
  std::string out(1024, '\0');
  for (; out.size() <= (64 << 10); out.resize(out.size() * 4)) {
    const std::size_t n = strftime_l(out.data(), out.size(), plain.c_str(), &time, kPlainLocale);
    if (n == 0) continue;
    out.resize(n - 1);
    return out;
  }
  return {};
}

}  // namespace pare::jinja
