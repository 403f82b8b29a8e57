#include "tests/e2e/body_corpus.h"

#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace trestle::e2e {
namespace {

std::string Utf16(absl::string_view text, bool big_endian) {
  std::string wide;
  for (const char c : text) {
    if (big_endian) wide += '\0';
    wide += c;
    if (!big_endian) wide += '\0';
  }
  return wide;
}

class Writer final {
 public:
  explicit Writer(uint32_t seed) : random_(seed) {}

  CorpusBody Next() {
    next_marker_ = 0;
    const int kind = Below(20);
    CorpusBody made = kind < 14 ? Multipart() : kind < 17 ? Form() : Json();
    if (OneIn(8)) Damage(made.body);
    if (OneIn(20)) made.content_type = "";
    if (OneIn(40))
      made.content_type = Of({"text/plain", "multipart/form-data", "application/json",
                              "application/x-www-form-urlencoded", "*/*"});
    return made;
  }

 private:
  // std::uniform_int_distribution differs between standard libraries.
  int Below(int bound) { return static_cast<int>(random_() % static_cast<uint32_t>(bound)); }
  bool OneIn(int n) { return Below(n) == 0; }

  std::string Of(std::initializer_list<absl::string_view> choices) {
    return std::string(*(choices.begin() + Below(static_cast<int>(choices.size()))));
  }
  // Returns the first choice in most cases.
  std::string Mostly(std::initializer_list<absl::string_view> choices) {
    return OneIn(5) ? Of(choices) : std::string(*choices.begin());
  }

  std::string Marker() {
    return next_marker_ < std::size(kMarkers) ? kMarkers[next_marker_++] : "more";
  }

  CorpusBody Multipart() {
    boundary_ = Mostly({"bnd7", "----WebKitFormBoundaryA1b2", "b", "b=d", "a.b-c_d", "b:d", "b'd",
                        "b/d", "b?d", "b+d", "b(d)", "a b"});
    line_ = OneIn(12) ? Of({"\n", "\r"}) : "\r\n";
    std::string body = OneIn(6) ? Preamble() : "";
    const int parts = 1 + Below(3);
    for (int i = 0; i < parts; ++i) absl::StrAppend(&body, BoundaryLine(), Part());
    absl::StrAppend(&body, LastLine());
    if (OneIn(6))
      absl::StrAppend(&body, Of({"x", "\r\n", "--"}), BoundaryLine(), Part(), LastLine());
    return {MultipartType(), std::move(body)};
  }

  std::string MultipartType() {
    const std::string exact = absl::StrCat("multipart/form-data; boundary=", boundary_);
    if (!OneIn(5)) return exact;
    const std::string b = boundary_;
    switch (Below(18)) {
      case 0:
        return absl::StrCat("multipart/form-data; boundary=\"", b, "\"");
      case 1:
        return absl::StrCat("multipart/form-data; boundary = ", b);
      case 2:
        return absl::StrCat(exact, "; charset=utf-8");
      case 3:
        return absl::StrCat(exact, ",x");
      case 4:
        return absl::StrCat(exact, ";x");
      case 5:
        return absl::StrCat("multipart/form-data; Boundary=", b);
      case 6:
        return absl::StrCat("multipart/form-data; boundary=x; boundary=", b);
      case 7:
        return absl::StrCat(exact, "; boundary=x");
      case 8:
        return absl::StrCat("multipart/mixed; boundary=", b);
      case 9:
        return absl::StrCat("multipart/related; boundary=", b);
      case 10:
        return absl::StrCat("multipart/form-data, boundary=", b);
      case 11:
        return absl::StrCat("multipart/form-data boundary=", b);
      case 12:
        return absl::StrCat("Multipart/Form-Data; boundary=", b);
      case 13:
        return absl::StrCat("multipart/form-data; boundary*=utf-8''", b);
      case 14:
        return absl::StrCat("multipart/form-data; charset=utf-16; boundary=", b);
      case 15:
        return absl::StrCat(exact, " ");
      case 16:
        return absl::StrCat("multipart/form-data; boundary='", b, "'");
      default:
        return absl::StrCat("multipart/form-datax; boundary=", b);
    }
  }

  std::string Preamble() {
    return Of({"\r\n", "x\r\n", "--\r\n", "-", "\n", "x", "--x\r\n",
               "Content-Disposition: form-data; name=a\r\n\r\nb\r\n"});
  }

  std::string BoundaryLine() {
    const std::string exact = absl::StrCat("--", boundary_);
    if (!OneIn(10)) return absl::StrCat(exact, line_);
    switch (Below(10)) {
      case 0:
        return absl::StrCat(exact, " ", line_);
      case 1:
        return absl::StrCat(exact, "\t", line_);
      case 2:
        return absl::StrCat(exact, "x", line_);
      case 3:
        return absl::StrCat(exact, "--", line_);
      case 4:
        return absl::StrCat(exact, "-", line_);
      case 5:
        return absl::StrCat(" ", exact, line_);
      case 6:
        return absl::StrCat("--", exact, line_);
      case 7:
        return absl::StrCat(exact, Of({"\n", "\r", "\n\n", "\r\r\n", "\v\n", ""}));
      case 8:
        return absl::StrCat("\r\n", exact, line_);
      default:
        return absl::StrCat("-", exact, line_);
    }
  }

  std::string LastLine() {
    const std::string exact = absl::StrCat("--", boundary_, "--", line_);
    if (!OneIn(8)) return exact;
    return absl::StrCat("--", boundary_,
                        Of({"--", "", "-\r\n", "--x\r\n", "-- \r\n", "--\n", "--\r", "\r\n"}));
  }

  std::string Part() {
    std::string head;
    const int fields = OneIn(10) ? Below(4) : 1;
    for (int i = 0; i < fields; ++i) absl::StrAppend(&head, Disposition(), line_);
    if (OneIn(5))
      head = OneIn(2) ? absl::StrCat(head, PartField(), line_)
                      : absl::StrCat(PartField(), line_, head);
    const std::string end = OneIn(20) ? Of({"\n", "\r", "", " \r\n", "\t\r\n", "\v\r\n"}) : line_;
    return absl::StrCat(head, end, Value(), OneIn(20) ? Of({"\n", "\r", ""}) : line_);
  }

  std::string Disposition() {
    const std::string name =
        Mostly({"Content-Disposition", "content-disposition", "CONTENT-DISPOSITION",
                "Content-Disposition ", " Content-Disposition", "Content_Disposition",
                "Content-Disposition\t", "x:y\rContent-Disposition"});
    const std::string type = Mostly({"form-data", "attachment", "FORM-DATA", "form-data\r\n ",
                                     "\"form-data\"", "", "form-data,", "file", "inline"});
    std::string line = absl::StrCat(name, Mostly({": ", ":", ":\t", " : ", ":\r\n "}), type,
                                    Mostly({"; ", ";", " ; ", ";;", " ", ";\r\n ", ","}));
    const std::string parameter = Parameter("name");
    if (!OneIn(3))
      return absl::StrCat(line, parameter, OneIn(20) ? Of({";", "; x=y", " x", "\0"}) : "");
    const std::string file = Parameter("filename");
    return OneIn(3) ? absl::StrCat(line, file, "; ", parameter)
                    : absl::StrCat(line, parameter, Mostly({"; ", ";", ", ", " "}), file);
  }

  std::string Parameter(absl::string_view name) {
    const std::string marker = Marker();
    const std::string exact = absl::StrCat(name, "=\"", marker, "\"");
    if (!OneIn(4)) return exact;
    switch (Below(18)) {
      case 0:
        return absl::StrCat(name, "=", marker);
      case 1:
        return absl::StrCat(name, "='", marker, "'");
      case 2:
        return absl::StrCat(name, "=\"a\\\"", marker, "\"");
      case 3:
        return absl::StrCat(name, "*=utf-8''", marker);
      case 4:
        return absl::StrCat(name, "*0=\"mk\"; ", name, "*1=\"", marker.substr(2), "\"");
      case 5:
        return absl::StrCat(name, " = \"", marker, "\"");
      case 6:
        return absl::StrCat(name, "=\"x\"; ", exact);
      case 7:
        return absl::StrCat(exact, "; ", name, "=\"x\"");
      case 8:
        return absl::StrCat(name, "=\"\"");
      case 9:
        return absl::StrCat(name, "=\"x;", marker, "\"");
      case 10:
        return absl::StrCat(name, "=\"x\\\\\"; name=\"", marker, "\"");
      case 11:
        return absl::StrCat(name, "=x; filename=\"\\\"; name=\"", marker, "\"");
      case 12:
        return absl::StrCat(name, "=\"", marker.substr(0, 2), "\\", marker.substr(2), "\"");
      case 13:
        return absl::StrCat("N", name.substr(1), "=\"", marker, "\"");
      case 14:
        return absl::StrCat(name, "=\"a[", marker, "]\"");
      case 15:
        return absl::StrCat(name, "=\"", marker.substr(0, 2), "%",
                            absl::BytesToHexString(marker.substr(2, 1)), marker.substr(3), "\"");
      case 16:
        return absl::StrCat(name, "=\"=?utf-8?b?", absl::Base64Escape(marker), "?=\"");
      default:
        return absl::StrCat(name, "=\"x", std::string(1, '\0'), marker, "\"");
    }
  }

  std::string PartField() {
    return Of({"Content-Type: text/plain", "Content-Type: text/plain; charset=utf-16",
               "Content-Type: text/plain; charset=utf-7",
               "Content-Type: multipart/mixed; boundary=in", "Content-Transfer-Encoding: base64",
               "Content-Transfer-Encoding: quoted-printable", "Content-Length: 3", "X-A: b",
               "no colon", ": x", "Content-Type: application/json",
               "Content-Type: text/plain\r\nContent-Type: text/html", "Content-Encoding: gzip"});
  }

  // Returns the value of a part: a marker, or text that resembles another part.
  std::string Value() {
    const std::string marker = Marker();
    if (!OneIn(3)) return marker;
    const std::string inner =
        absl::StrCat("Content-Disposition: form-data; name=\"", Marker(), "\"");
    const std::string dashes = absl::StrCat("--", boundary_);
    switch (Below(14)) {
      case 0:
        return absl::StrCat("a\n", dashes, "\n", inner, "\n\n", marker);
      case 1:
        return absl::StrCat("a\r", dashes, "\r", inner, "\r\r", marker);
      case 2:
        return absl::StrCat("a", dashes, "\r\n", inner, "\r\n\r\n", marker);
      case 3:
        return absl::StrCat("a\r\n ", dashes, "\r\n", inner, "\r\n\r\n", marker);
      case 4:
        return absl::StrCat("a\r\n", dashes, "x\r\n", inner, "\r\n\r\n", marker);
      case 5:
        return absl::StrCat("a\r\n", dashes, " \r\n", inner, "\r\n\r\n", marker);
      case 6:
        return absl::StrCat("a\r\n", dashes, "--\r\n", dashes, "\r\n", inner, "\r\n\r\n", marker);
      case 7:
        return absl::StrCat("--in\r\n", inner, "\r\n\r\n", marker, "\r\n--in--");
      case 8:
        return absl::Base64Escape(marker);
      case 9:
        return Utf16(marker, OneIn(2));
      case 10:
        return absl::StrCat("=6D", marker.substr(1));
      case 11:
        return absl::StrCat("a\n\r\n", dashes, "\n\r", inner, "\r\n\r\n", marker);
      case 12:
        return absl::StrCat(std::string(1, '\0'), marker);
      default:
        return absl::StrCat(std::string(5000 + Below(5000), 'x'), "\r\n", marker);
    }
  }

  CorpusBody Form() {
    std::string body;
    const int pairs = 1 + Below(4);
    for (int i = 0; i < pairs; ++i) {
      absl::StrAppend(&body, i > 0 ? Mostly({"&", ";", "&&", "&;", "& ", "\n", "%26", ","}) : "",
                      FormText(), Mostly({"=", "==", "", "%3d", " =", "[]=", "[a]=", "[=", "]="}),
                      FormText());
    }
    if (OneIn(10)) body = Utf16(body, OneIn(2));
    const std::string type = Mostly(
        {"application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8",
         "application/x-www-form-urlencoded; charset=utf-16", "application/x-www-form-urlencoded,x",
         "application/x-www-form-urlencodedx", "APPLICATION/X-WWW-FORM-URLENCODED",
         "application/x-www-form-urlencoded; charset=utf-7", " application/x-www-form-urlencoded",
         "application/x-www-form-urlencoded;boundary=b", "application/x-www-form-urlencoded; q"});
    return {type, std::move(body)};
  }

  std::string FormText() {
    const std::string marker = Marker();
    if (!OneIn(3)) return marker;
    switch (Below(9)) {
      case 0:
        return absl::StrCat("%6", "d", marker.substr(1));
      case 1:
        return absl::StrCat("%256d", marker.substr(1));
      case 2:
        return absl::StrCat("%u006d", marker.substr(1));
      case 3:
        return absl::StrCat("%00", marker);
      case 4:
        return absl::StrCat("%", marker);
      case 5:
        return absl::StrCat("%f", marker);
      case 6:
        return absl::StrCat("%0a", marker, "%ff");
      case 7:
        return absl::StrCat("+", marker, "+");
      default:
        return absl::StrCat("\xef\xbb\xbf", marker);
    }
  }

  CorpusBody Json() {
    std::string body = JsonValue(0);
    switch (Below(24)) {
      case 0:
        body = Utf16(body, OneIn(2));
        break;
      case 1:
        body = absl::StrCat("\xef\xbb\xbf", body);
        break;
      case 2:
        body = absl::StrCat(body, " ", body);
        break;
      case 3:
        body = absl::StrCat("/*a*/", body);
        break;
      case 4:
        body = absl::StrCat(body, "x");
        break;
      case 5:
        body = absl::StrReplaceAll(body, {{"\"", "'"}});
        break;
      default:
        break;
    }
    return {
        Mostly({"application/json", "application/json; charset=utf-8", "application/problem+json",
                "application/json; charset=utf-16", "text/json", "application/jsonx",
                "application/json,x", "Application/JSON", "application/x-json"}),
        std::move(body)};
  }

  std::string JsonValue(int depth) {
    switch (depth > 3 ? 9 : Below(10)) {
      case 0:
      case 1:
        return absl::StrCat("[", JsonValue(depth + 1), ", ", JsonValue(depth + 1), "]");
      case 2:
      case 3:
      case 4:
      case 5:
        return absl::StrCat(
            "{", JsonText(), ": ", JsonValue(depth + 1),
            OneIn(3) ? absl::StrCat(", ", JsonText(), ":", JsonValue(depth + 1)) : "",
            OneIn(20) ? "," : "", "}");
      case 6:
        return Of({"{}", "[]", "[{}]", "null", "true", "NaN", "1e5", "-0"});
      default:
        return JsonText();
    }
  }

  // Inserts characters of JSON syntax, so that hidden names are also counted.
  std::string JsonText() {
    const std::string marker = Marker();
    switch (Below(9)) {
      case 0:
        return absl::StrCat("\"\\u006d", marker.substr(1), "\"");
      case 1:
        return absl::StrCat("\"<", marker, ">\"");
      case 2:
        return absl::StrCat("\"\\ud800", marker, "\"");
      case 3:
        return absl::StrCat("\"\\u0000", marker, "\"");
      case 4:
        return absl::StrCat("\"\\\"", marker, "\"");
      case 5:
        return absl::StrCat("\"\\x", marker, "\"");
      case 6:
        return absl::StrCat("\"a\t", marker, "\"");
      default:
        return absl::StrCat("\"", marker, "\"");
    }
  }

  void Damage(std::string& body) {
    if (body.empty()) return;
    const size_t at = Below(static_cast<int>(body.size()));
    const std::string bytes =
        Of({"\r", "\n", "-", "\"", ";", ":", " ", "\\", "=", "\t", "\v", "'"});
    switch (Below(4)) {
      case 0:
        body.erase(at, 1);
        break;
      case 1:
        body.insert(at, bytes);
        break;
      case 2:
        body.replace(at, 1, bytes);
        break;
      default:
        body.resize(at);
        break;
    }
  }

  std::mt19937 random_;
  size_t next_marker_ = 0;
  std::string boundary_;
  std::string line_;
};

std::string Length(size_t bytes) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(bytes >> shift & 0xff);
  return text;
}

}  // namespace

std::vector<CorpusBody> BodyCorpus(uint32_t seed, int count) {
  Writer writer(seed);
  std::vector<CorpusBody> corpus;
  corpus.reserve(count);
  while (corpus.size() < static_cast<size_t>(count)) {
    CorpusBody made = writer.Next();
    if (!made.body.empty()) corpus.push_back(std::move(made));
  }
  return corpus;
}

std::string Encode(const std::vector<CorpusBody>& corpus) {
  std::string bytes;
  for (const CorpusBody& one : corpus) {
    absl::StrAppend(&bytes, Length(one.content_type.size()), Length(one.body.size()),
                    one.content_type, one.body);
  }
  return bytes;
}

}  // namespace trestle::e2e
