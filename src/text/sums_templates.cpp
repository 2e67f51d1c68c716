#include "text/sums_templates.h"

#include <algorithm>

#include "base/error.h"

namespace pare {
namespace {

const std::vector<std::string> kNames = {"Tom",
                                         "Anna",
                                         "Ben",
                                         "Mia",
                                         "Sam",
                                         "Lucy",
                                         "Omar",
                                         "Ella",
                                         "Noah",
                                         "Ivy",
                                         "Raj",
                                         "Zoe",
                                         "Max",
                                         "Nina",
                                         "Leo",
                                         "Kate"};
const std::vector<std::string> kThings = {"apples",
                                          "books",
                                          "cups",
                                          "cards",
                                          "pens",
                                          "shells",
                                          "stamps",
                                          "cookies",
                                          "marbles",
                                          "eggs",
                                          "toys",
                                          "flowers",
                                          "beads",
                                          "stones",
                                          "plums",
                                          "pears"};
const std::vector<std::string> kPlaces = {
    "shop", "school", "farm", "market", "park", "library", "bakery", "garden"};

const std::vector<std::string> kBaked = {"cookies", "rolls", "buns", "pies", "cakes", "muffins"};
const std::vector<std::string> kFruit = {"apples", "plums", "pears", "lemons", "figs", "peaches"};
const std::vector<std::string> kGets = {"buys", "finds", "gets", "wins", "picks up"};
const std::vector<std::string> kLoses = {"gives away", "sells", "loses", "trades away"};

std::string s(i64 n) { return std::to_string(n); }

void give_away(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 a = d.number(10, 99), b = d.number(2, a - 1);
  d.ask(name + " has " + s(a) + " " + thing + " and " + d.loses() + " " + s(b) + " of them. How many " +
        thing + " are left?");
  d.step(name + " has", a, '-', b, thing + " left");
}
void buy_more(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 a = d.number(2, 99), b = d.number(2, 99);
  d.ask(name + " has " + s(a) + " " + thing + " and " + d.gets() + " " + s(b) + " more. How many " + thing +
        " does " + name + " have now?");
  d.step(name + " has", a, '+', b, thing);
}
void boxes(SumsDraft& d) {
  const std::string thing = d.thing();
  const i64 a = d.number(2, 12), b = d.number(2, 20);
  d.ask("There are " + s(a) + " boxes with " + s(b) + " " + thing + " in each box. How many " + thing +
        " are there?");
  d.step("There are", b, '*', a, thing);
}
void share(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 b = d.number(2, 10), c = d.number(2, 20);
  d.ask(name + " shares " + s(b * c) + " " + thing + " equally among " + s(b) +
        " friends. How many does each friend get?");
  d.step("Each friend gets", b * c, '/', b, thing);
}
void twice(SumsDraft& d) {
  const std::string a = d.name(), b = d.name(), thing = d.thing();
  const i64 n = d.number(2, 60), k = d.number(2, 5);
  d.ask(a + " has " + s(n) + " " + thing + ". " + b + " has " + s(k) +
        " times as many. How many do they have together?");
  const i64 x = d.step(b + " has", n, '*', k, thing);
  d.step("Together they have", n, '+', x, thing);
}
void half_in_may(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 half = d.number(2, 90);
  d.ask(name + " sold " + s(2 * half) + " " + thing + " in April and half as many in May. How many " + thing +
        " is that in all?");
  const i64 may = d.step("In May " + name + " sold", 2 * half, '/', 2, thing);
  d.step("In all it is", 2 * half, '+', may, thing);
}
void more_than(SumsDraft& d) {
  const std::string a = d.name(), b = d.name(), thing = d.thing();
  const i64 n = d.number(3, 80), k = d.number(2, 30);
  d.ask(a + " found " + s(n) + " " + thing + ". " + b + " found " + s(k) + " more than " + a +
        ". How many did both find?");
  const i64 x = d.step(b + " found", n, '+', k, thing);
  d.step("Both found", n, '+', x, thing);
}
void fewer_than(SumsDraft& d) {
  const std::string a = d.name(), b = d.name(), thing = d.thing();
  const i64 n = d.number(20, 90), k = d.number(2, 19);
  d.ask(a + " found " + s(n) + " " + thing + ". " + b + " found " + s(k) + " fewer than " + a +
        ". How many did both find?");
  const i64 x = d.step(b + " found", n, '-', k, thing);
  d.step("Both found", n, '+', x, thing);
}
void price(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 n = d.number(2, 12), p = d.number(2, 15);
  d.ask(name + " buys " + s(n) + " " + thing + " for " + s(p) + " dollars each. How many dollars does " +
        name + " pay?");
  d.step(name + " pays", p, '*', n, "dollars");
}
void change(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 n = d.number(2, 9), p = d.number(2, 10);
  d.ask(name + " buys " + s(n) + " " + thing + " for " + s(p) +
        " dollars each and pays with 100 dollars. How much is the change?");
  const i64 x = d.step("The cost is", p, '*', n, "dollars");
  d.step("The change is", 100, '-', x, "dollars");
}
void two_kinds(SumsDraft& d) {
  const std::string name = d.name(), x = d.thing(), y = d.thing();
  const i64 a = d.number(2, 10), p = d.number(2, 9), b = d.number(2, 10), q = d.number(2, 9);
  d.ask(name + " buys " + s(a) + " " + x + " for " + s(p) + " dollars each and " + s(b) + " " + y + " for " +
        s(q) + " dollars each. What is the total?");
  const i64 first = d.step("The " + x + " cost", p, '*', a, "dollars");
  const i64 second = d.step("The " + y + " cost", q, '*', b, "dollars");
  d.step("The total is", first, '+', second, "dollars");
}
void bags_and_loose(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 a = d.number(2, 12), b = d.number(2, 12), c = d.number(2, 40);
  d.ask(name + " has " + s(a) + " bags of " + s(b) + " " + thing + " and " + s(c) + " loose ones. How many " +
        thing + " is that?");
  const i64 x = d.step("The bags hold", b, '*', a, thing);
  d.step("In all it is", x, '+', c, thing);
}
void pack_and_eat(SumsDraft& d) {
  const std::string name = d.name(), thing = d.baked();
  const i64 a = d.number(3, 12), b = d.number(3, 12), c = d.number(2, 8);
  d.ask(name + " bakes " + s(a) + " trays of " + s(b) + " " + thing + " and eats " + s(c) +
        ". How many are left?");
  const i64 x = d.step(name + " bakes", b, '*', a, thing);
  d.step("There are", x, '-', c, thing + " left");
}
void split_rest(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 k = d.number(2, 9), each = d.number(2, 12), kept = d.number(2, 30);
  d.ask(name + " has " + s(k * each + kept) + " " + thing + ", keeps " + s(kept) +
        " and splits the rest among " + s(k) + " friends. How many does each get?");
  const i64 x = d.step("The rest is", k * each + kept, '-', kept, thing);
  d.step("Each friend gets", x, '/', k, thing);
}
void bus(SumsDraft& d) {
  const i64 a = d.number(10, 60), b = d.number(2, 9), c = d.number(2, 30);
  d.ask("A bus has " + s(a) + " riders. At the " + d.place() + " " + s(b) + " get off and " + s(c) +
        " get on. How many riders are there now?");
  const i64 x = d.step("After the stop there are", a, '-', b, "riders");
  d.step("Now there are", x, '+', c, "riders");
}
void pages(SumsDraft& d) {
  const std::string name = d.name();
  const i64 per = d.number(2, 20), days = d.number(2, 10), left = d.number(2, 60);
  d.ask(name + " reads " + s(per) + " pages a day for " + s(days) + " days. The book has " +
        s(per * days + left) + " pages. How many pages are left?");
  const i64 x = d.step(name + " reads", per, '*', days, "pages");
  d.step("There are", per * days + left, '-', x, "pages left");
}
void walk(SumsDraft& d) {
  const std::string name = d.name();
  const i64 a = d.number(2, 12), days = d.number(2, 7), b = d.number(2, 12);
  d.ask(name + " walks " + s(a) + " miles to the " + d.place() + " and " + s(b) +
        " miles back by another way, for " + s(days) + " days. How many miles is that?");
  const i64 x = d.step("A day is", a, '+', b, "miles");
  d.step(name + " walks", x, '*', days, "miles");
}
void wages(SumsDraft& d) {
  const std::string name = d.name();
  const i64 pay = d.number(5, 15), hours = d.number(2, 8), spent = d.number(2, 9);
  d.ask(name + " works " + s(hours) + " hours at the " + d.place() + " for " + s(pay) +
        " dollars an hour and spends " + s(spent) + " dollars. How many dollars are left?");
  const i64 x = d.step(name + " earns", pay, '*', hours, "dollars");
  d.step("There are", x, '-', spent, "dollars left");
}
void rows_of_chairs(SumsDraft& d) {
  const i64 a = d.number(2, 12), b = d.number(2, 12), c = d.number(2, 20);
  d.ask("The " + d.place() + " has " + s(a) + " rows of " + s(b) + " chairs and adds " + s(c) +
        " chairs. How many chairs are there?");
  const i64 x = d.step("The rows have", b, '*', a, "chairs");
  d.step("In all it is", x, '+', c, "chairs");
}
void three_days(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 a = d.number(2, 50), b = d.number(2, 30), k = d.number(2, 3);
  d.ask(name + " picks " + s(a) + " " + thing + " on Monday, " + s(b) +
        " more on Tuesday than on Monday, and on Friday " + s(k) +
        " times as many as on Monday. How many is that?");
  const i64 tuesday = d.step("On Tuesday it is", a, '+', b, thing);
  const i64 friday = d.step("On Friday it is", a, '*', k, thing);
  const i64 two = d.step("Monday and Tuesday make", a, '+', tuesday, thing);
  d.step("In all it is", two, '+', friday, thing);
}
void three_friends(SumsDraft& d) {
  const std::string a = d.name(), b = d.name(), c = d.name(), thing = d.thing();
  const i64 n = d.number(10, 60), k = d.number(2, 9), m = d.number(2, 30);
  d.ask(a + " has " + s(n) + " " + thing + ". " + b + " has " + s(k) + " fewer. " + c + " has " + s(m) +
        " more than " + b + ". How many do the three have?");
  const i64 x = d.step(b + " has", n, '-', k, thing);
  const i64 y = d.step(c + " has", x, '+', m, thing);
  const i64 z = d.step("The first two have", n, '+', x, thing);
  d.step("All three have", z, '+', y, thing);
}
void discount(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 n = d.number(2, 9), p = d.number(5, 15), off = d.number(2, 4);
  d.ask("At the " + d.place() + " " + thing + " cost " + s(p) + " dollars, but " + s(off) +
        " dollars less today. " + name + " buys " + s(n) + ". How many dollars is that?");
  const i64 x = d.step("Today each costs", p, '-', off, "dollars");
  d.step(name + " pays", x, '*', n, "dollars");
}
void jars(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 a = d.number(2, 40), b = d.number(2, 40), per = d.number(2, 9);
  const i64 rest = (a + b) % per, second = rest ? b + per - rest : b;
  d.ask(name + " mixes " + s(a) + " red and " + s(second) + " blue " + thing + " and fills jars of " +
        s(per) + ". How many jars does " + name + " fill?");
  const i64 x = d.step("There are", a, '+', second, thing);
  d.step(name + " fills", x, '/', per, "jars");
}
void savings(SumsDraft& d) {
  const std::string name = d.name();
  const i64 a = d.number(5, 60), week = d.number(2, 12), weeks = d.number(2, 10);
  const i64 spent = d.number(2, std::min<i64>(20, a + week * weeks));
  d.ask(name + " has " + s(a) + " dollars, saves " + s(week) + " dollars a week for " + s(weeks) +
        " weeks and then spends " + s(spent) + " dollars. How many dollars are left?");
  const i64 x = d.step(name + " saves", week, '*', weeks, "dollars");
  const i64 y = d.step("That makes", a, '+', x, "dollars");
  d.step("There are", y, '-', spent, "dollars left");
}
void teams(SumsDraft& d) {
  const i64 k = d.number(2, 10), size = d.number(2, 12), boys = d.number(2, k * size - 2);
  d.ask("At the " + d.place() + " " + s(boys) + " boys and " + s(k * size - boys) + " girls form " + s(k) +
        " equal teams. How many children are in a team?");
  const i64 x = d.step("There are", boys, '+', k * size - boys, "children");
  d.step("A team has", x, '/', k, "children");
}
void harvest(SumsDraft& d) {
  const std::string name = d.name(), thing = d.fruit();
  const i64 rows = d.number(3, 10), per = d.number(3, 10), rotten = d.number(2, 3), k = d.number(2, 4);
  const i64 good = rows * per - rotten, sold = good / k;
  d.ask(name + " picks " + s(per) + " " + thing + " from each of " + s(rows) + " trees. " + s(rotten) +
        " are bad, and " + name + " sells " + s(sold) + ". How many are left?");
  const i64 x = d.step(name + " picks", per, '*', rows, thing);
  const i64 y = d.step("The good ones are", x, '-', rotten, thing);
  d.step("There are", y, '-', sold, thing + " left");
}
void ages(SumsDraft& d) {
  const std::string a = d.name(), b = d.name();
  const i64 n = d.number(3, 20), k = d.number(2, 4), later = d.number(2, 10);
  d.ask(a + " is " + s(n) + " years old. " + b + " is " + s(k) + " times that old. How old will " + b +
        " be in " + s(later) + " years?");
  const i64 x = d.step(b + " is", n, '*', k, "years old");
  d.step("In " + s(later) + " years " + b + " will be", x, '+', later, "years old");
}
void difference(SumsDraft& d) {
  const std::string a = d.name(), b = d.name(), thing = d.thing();
  const i64 p = d.number(2, 10), q = d.number(2, 10), m = d.number(2, p * q);
  d.ask(a + " has " + s(q) + " packs of " + s(p) + " " + thing + ". " + b + " has " + s(m) + " " + thing +
        ". How many more does " + a + " have?");
  const i64 x = d.step(a + " has", p, '*', q, thing);
  d.step(a + " has", x, '-', m, "more");
}
void double_trip(SumsDraft& d) {
  const std::string name = d.name(), thing = d.thing();
  const i64 a = d.number(2, 30), b = d.number(2, 30), k = d.number(2, 6);
  d.ask(name + " carries " + s(a) + " " + thing + " and then " + s(b) + " " + thing + " to the " + d.place() +
        ". It takes " + s(k) + " such trips. How many " + thing + " is that?");
  const i64 x = d.step("One trip is", a, '+', b, thing);
  d.step("All trips make", x, '*', k, thing);
}
void kept_stock(SumsDraft& d) {
  const std::string thing = d.thing();
  const i64 a = d.number(20, 80), sold = d.number(2, 19), box = d.number(2, 9), per = d.number(2, 9);
  d.ask("The " + d.place() + " has " + s(a) + " " + thing + ", sells " + s(sold) + " and gets " + s(box) +
        " boxes of " + s(per) + ". How many " + thing + " are there now?");
  const i64 x = d.step("After the sale there are", a, '-', sold, thing);
  const i64 y = d.step("The boxes hold", per, '*', box, thing);
  d.step("Now there are", x, '+', y, thing);
}

}  // namespace

const std::string& SumsDraft::pick(const std::vector<std::string>& words) {
  for (;;) {
    const std::string& word = words[static_cast<std::size_t>(rng_.below(static_cast<i64>(words.size())))];
    if (std::find(used_.begin(), used_.end(), &word) != used_.end()) continue;
    used_.push_back(&word);
    return word;
  }
}

const std::string& SumsDraft::name() { return pick(kNames); }
const std::string& SumsDraft::thing() { return pick(kThings); }
const std::string& SumsDraft::place() { return pick(kPlaces); }
const std::string& SumsDraft::baked() { return pick(kBaked); }
const std::string& SumsDraft::fruit() { return pick(kFruit); }
const std::string& SumsDraft::gets() { return pick(kGets); }
const std::string& SumsDraft::loses() { return pick(kLoses); }

i64 SumsDraft::number(i64 low, i64 high) {
  const i64 n = rng_.between(low, high);
  has_one = has_one || n == 1;
  return n;
}

void SumsDraft::ask(const std::string& text) { question += question.empty() ? text : " " + text; }

i64 SumsDraft::step(const std::string& text, i64 a, char op, i64 b, const std::string& unit) {
  i64 c = 0;
  switch (op) {
    case '+':
      c = a + b;
      break;
    case '-':
      c = a - b;
      break;
    case '*':
      c = a * b;
      break;
    default:
      c = a / b;
  }
  if (c < 0 || (op == '/' && c * b != a)) throw bug("sums: {}{}{} is not a whole number", a, op, b);
  answer += fmt::format("{} {}{}{}=<<{}{}{}={}>>{} {}.\n", text, a, op, b, a, op, b, c, c, unit);
  has_one = has_one || c == 1;
  result = c;
  return c;
}

const std::vector<SumsTemplate>& sums_templates() {
  static const std::vector<SumsTemplate> all = {
      give_away, buy_more, boxes,          share,          twice,         half_in_may, more_than, fewer_than,
      price,     change,   two_kinds,      bags_and_loose, pack_and_eat,  split_rest,  bus,       pages,
      walk,      wages,    rows_of_chairs, three_days,     three_friends, discount,    jars,      savings,
      teams,     harvest,  ages,           difference,     double_trip,   kept_stock};
  return all;
}

}  // namespace pare
