// Tables line up, and nothing that comes from the network drives a terminal.
#include "control/app/operator/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using enum Table::Align;

TEST(Printable, KeepsTextAndReplacesWhatCouldDriveATerminal) {
  EXPECT_EQ(printable("4a1b@10.0.0.9"), "4a1b@10.0.0.9");
  EXPECT_EQ(printable("Grüße, 電話"), "Grüße, 電話");
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\t\x7f"), "a?[2Jb????");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "?31m")
      << "a C1 control in UTF-8";
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "?31m")
      << "and alone";
  EXPECT_EQ(printable("evil\xe2\x80\xaetxt"), "evil?txt") << "right-to-left override";
  EXPECT_EQ(printable("a\xe2\x80\x8b\xef\xbb\xbf"), "a??") << "no width";
}

TEST(Printable, ReplacesEachOctetThatIsNotUtf8) {
  EXPECT_EQ(printable("\xff\xc3"), "??");
  EXPECT_EQ(printable("\xc0\xaf"), "??") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "???") << "surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "????") << "beyond Unicode";
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a?b");
}

TEST(Table, LinesUpColumnsByCharactersAndEndsNoLineInSpaces) {
  Table table({{"RELAY"}, {"CALLS", right}, {"ZONE"}});
  table.add({"one", "5", "west"});
  table.add({"größer", "1234", ""});
  EXPECT_THAT(table.lines(false),
              ElementsAre("RELAY   CALLS  ZONE", "one         5  west", "größer   1234  -"));
}

TEST(Table, PaintsOnlyWhereItIsWantedAndKeepsTheWidths) {
  Table table({{"STATE"}, {"N", right}});
  table.add({Cell("up", Colour::green), "1"});
  EXPECT_EQ(table.text(false), "STATE  N\nup     1\n");
  EXPECT_EQ(table.text(true), "\x1b[2mSTATE\x1b[0m  \x1b[2mN\x1b[0m\n\x1b[32mup\x1b[0m     1\n");
}

TEST(Table, MakesEveryCellPrintable) {
  Table table({{"CALL"}});
  table.add({"\x1b]0;owned\x07"});
  EXPECT_EQ(table.lines(true)[1], "?]0;owned?");
}

TEST(Amounts, AreRoundedDownAndSayTheirUnit) {
  EXPECT_EQ(rough(12ms), "12 ms");
  EXPECT_EQ(rough(119'999ms), "119 s");
  EXPECT_EQ(rough(2min), "2 min");
  EXPECT_EQ(rough(47h), "47 h");
  EXPECT_EQ(rough(72h), "3 d");
  EXPECT_EQ(counted(1, "call"), "1 call");
  EXPECT_EQ(counted(0, "call"), "0 calls");
  EXPECT_EQ(percent(0.375), "37.5%");
}

}  // namespace
}  // namespace rtpool::control
