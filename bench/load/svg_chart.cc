#include "bench/load/svg_chart.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "bench/text.h"

namespace rtpool::bench {
namespace {

constexpr double kPanelWidth = 420, kPanelHeight = 340, kHeadHeight = 40, kFootHeight = 30;
constexpr double kLeft = 62, kRight = 14, kTop = 34, kBottom = 46;
constexpr double kNarrowSlot = 50;
constexpr std::array<const char*, 6> kColours{"#1f6fb4", "#8fb8d8", "#c0504d",
                                              "#7f7f7f", "#4f9d69", "#d99b3c"};

const char* colour(int index) {
  return kColours[static_cast<std::size_t>(index) % kColours.size()];
}

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else {
      out += c;
    }
  }
  return out;
}

enum class Anchor { start, middle, end };

std::string label(double x, double y, const std::string& text, Anchor anchor, int size = 12) {
  constexpr std::array<const char*, 3> kAnchors{"start", "middle", "end"};
  return format("<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\">", x, y, size,
                kAnchors[static_cast<std::size_t>(anchor)]) +
         escape(text) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const char* stroke) {
  return format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1,
                x2, y2, stroke);
}

std::string mark_text(double value) {
  return value >= 1e4 ? format("%.0fk", value / 1e3) : format("%g", value);
}

}  // namespace

Axis linear_axis(double highest) {
  if (highest <= 0) return {.low = 0, .high = 1, .marks = {0, 1}};
  const double magnitude = std::pow(10, std::floor(std::log10(highest / 4)));
  double step = magnitude;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (highest / step > 5) step = magnitude * factor;
  }
  Axis axis{.low = 0, .high = std::ceil(highest / step) * step};
  for (int i = 0; i * step <= axis.high * 1.001; ++i) axis.marks.push_back(i * step);
  return axis;
}

Axis logarithmic_axis(double lowest, double highest) {
  if (lowest <= 0 || highest < lowest) return {.low = 1, .high = 10, .marks = {1, 10}};
  const double first = std::floor(std::log10(lowest));
  const double last = std::max(std::ceil(std::log10(highest)), first + 1);
  Axis axis{.low = std::pow(10, first), .high = std::pow(10, last)};
  for (double power = first; power <= last; ++power) axis.marks.push_back(std::pow(10, power));
  return axis;
}

// The part of a panel that holds its curves, and where a value lies in it.
struct SvgPage::Frame {
  double left, right, top, bottom;
  Axis axis;
  bool logarithmic;

  [[nodiscard]] double y(double value) const {
    const double share = logarithmic ? std::log(std::max(value, axis.low) / axis.low) /
                                           std::log(axis.high / axis.low)
                                     : value / axis.high;
    return bottom - share * (bottom - top);
  }
};

SvgPage::SvgPage(std::string title, std::string caption)
    : title_(std::move(title)), caption_(std::move(caption)) {}

SvgPage::Frame SvgPage::frame(const std::string& title, const Axis& y, bool logarithmic) {
  const double x0 = panels_++ * kPanelWidth;
  const Frame frame{x0 + kLeft,
                    x0 + kPanelWidth - kRight,
                    kHeadHeight + kTop,
                    kHeadHeight + kPanelHeight - kBottom,
                    y,
                    logarithmic};
  body_ += label((frame.left + frame.right) / 2, frame.top - 14, title, Anchor::middle, 13);
  for (const double mark : y.marks) {
    body_ += line(frame.left, frame.y(mark), frame.right, frame.y(mark), "#dddddd");
    body_ += label(frame.left - 6, frame.y(mark) + 4, mark_text(mark), Anchor::end, 11);
  }
  return frame;
}

void SvgPage::add(const BarChart& chart) {
  double highest = 0, lowest = 1e300;
  for (const Bar& bar : chart.bars) {
    highest = std::max(highest, bar.value);
    if (bar.value > 0) lowest = std::min(lowest, bar.value);
    for (const double dot : bar.dots) highest = std::max(highest, dot);
  }
  const Axis axis =
      chart.logarithmic ? logarithmic_axis(lowest, highest * 1.5) : linear_axis(highest * 1.08);
  const Frame area = frame(chart.title, axis, chart.logarithmic);
  const double slot =
      (area.right - area.left) / static_cast<double>(std::max<std::size_t>(chart.bars.size(), 1));
  const double width = std::min(slot * 0.6, 70.0);
  for (std::size_t i = 0; i < chart.bars.size(); ++i) {
    const Bar& bar = chart.bars[i];
    const double middle = area.left + slot * (static_cast<double>(i) + 0.5);
    const double top = area.y(bar.value);
    body_ += format("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n",
                    middle - width / 2, top, width, area.bottom - top, colour(bar.colour));
    double above = top;
    for (const double dot : bar.dots) {
      above = std::min(above, area.y(dot));
      body_ += format(
          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\" fill=\"#222222\" fill-opacity=\"0.6\"/>\n",
          middle, area.y(dot));
    }
    body_ += label(middle, above - 6, number_text(chart.format.c_str(), bar.value), Anchor::middle,
                   slot < kNarrowSlot ? 10 : 12);
    // Words of a label on lines of their own, so that neighbours do not run together.
    double y = area.bottom + 16;
    std::string rest = bar.label;
    while (!rest.empty()) {
      const auto blank = rest.find(' ');
      body_ += label(middle, y, rest.substr(0, blank), Anchor::middle, 11);
      rest = blank == std::string::npos ? "" : rest.substr(blank + 1);
      y += 13;
    }
  }
  body_ += line(area.left, area.bottom, area.right, area.bottom, "#222222");
}

void SvgPage::add(const LineChart& chart) {
  double highest = 0, first = 1e300, last = 0;
  for (const Line& each : chart.lines) {
    for (const auto& [x, y] : each.points) {
      highest = std::max(highest, y);
      first = std::min(first, x);
      last = std::max(last, x);
    }
  }
  const Frame area = frame(chart.title, linear_axis(highest * 1.1), false);
  const Axis across = chart.logarithmic_x ? logarithmic_axis(first, last) : linear_axis(last);
  const auto place = [&](double x) {
    const double share = chart.logarithmic_x ? std::log(std::max(x, across.low) / across.low) /
                                                   std::log(across.high / across.low)
                                             : x / across.high;
    return area.left + share * (area.right - area.left);
  };
  for (const double mark : across.marks) {
    body_ += line(place(mark), area.bottom, place(mark), area.bottom + 4, "#222222");
    body_ += label(place(mark), area.bottom + 16, mark_text(mark), Anchor::middle, 11);
  }
  body_ += label((area.left + area.right) / 2, area.bottom + 34, chart.x_label, Anchor::middle);
  double named = area.top + 12;
  for (const Line& each : chart.lines) {
    std::string path;
    for (const auto& [x, y] : each.points) {
      path += format("%.1f,%.1f ", place(x), area.y(y));
      body_ += format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", place(x),
                      area.y(y), colour(each.colour));
    }
    body_ += "<polyline fill=\"none\" stroke-width=\"1.8\" stroke=\"" +
             std::string(colour(each.colour)) + "\" points=\"" + path + "\"/>\n";
    const std::string last_value =
        each.points.empty() ? ""
                            : ": " + number_text(chart.format.c_str(), each.points.back().second);
    body_ += line(area.left + 10, named - 4, area.left + 30, named - 4, colour(each.colour));
    body_ += label(area.left + 36, named, each.label + last_value, Anchor::start);
    named += 16;
  }
  body_ += line(area.left, area.bottom, area.right, area.bottom, "#222222");
}

std::string SvgPage::text() const {
  // The caption needs about two panels.
  const double width = std::max(panels_, 2) * kPanelWidth;
  const double height = kHeadHeight + kPanelHeight + kFootHeight;
  return format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
             "height=\"%.0f\" font-family=\"sans-serif\" fill=\"#222222\">\n"
             "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
             width, height, width, height) +
         label(width / 2, 26, title_, Anchor::middle, 16) +
         format("<g transform=\"translate(%.0f 0)\">\n", (width - panels_ * kPanelWidth) / 2) +
         body_ + "</g>\n" + label(width / 2, height - 12, caption_, Anchor::middle, 11) +
         "</svg>\n";
}

}  // namespace rtpool::bench
