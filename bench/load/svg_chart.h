// Charts as SVG text: bars and lines in panels side by side, readable without colour (every bar
// and line is labelled by name and value). Pure; the same input gives the same text.
#pragma once

#include <string>
#include <vector>

namespace rtpool::bench {

struct Bar {
  std::string label;
  double value = 0;
  std::vector<double> dots;  // the single measurements behind the value; may be empty
  int colour = 0;            // bars of one colour belong together
};

struct BarChart {
  std::string title;  // with the unit
  std::vector<Bar> bars;
  bool logarithmic = false;
  std::string format = "%.1f";  // of a value, for printf
};

struct Line {
  std::string label;
  std::vector<std::pair<double, double>> points;  // by growing x
  int colour = 0;
};

struct LineChart {
  std::string title, x_label;
  std::vector<Line> lines;
  bool logarithmic_x = false;
  std::string format = "%.1f";  // of a value of y, for printf
};

// The ends of an axis from zero (or, logarithmic, from a power of ten) that hold `highest`, and
// where it is marked.
struct Axis {
  double low = 0, high = 1;
  std::vector<double> marks;
};
Axis linear_axis(double highest);
Axis logarithmic_axis(double lowest, double highest);

// One picture of the panels, in order, over a caption of one line.
class SvgPage {
 public:
  SvgPage(std::string title, std::string caption);
  void add(const BarChart& chart);
  void add(const LineChart& chart);
  [[nodiscard]] std::string text() const;

 private:
  struct Frame;
  Frame frame(const std::string& title, const Axis& y, bool logarithmic);

  std::string title_, caption_, body_;
  int panels_ = 0;
};

}  // namespace rtpool::bench
