#include "metadata.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <string_view>

namespace {

// what a reader of the losses needs to know, in this order
constexpr std::array<std::string_view, 6> told{"name", "formula", "parameters", "preds_are", "ignore_index", "inputs"};

struct NoObject {};  // the text is not a JSON object

// Splits a JSON object into its fields; what their values hold is not looked at.
class ObjectParser {
public:
    explicit ObjectParser(std::string_view text) : text_(text) {}

    Metadata parse() {
        Metadata fields;
        expect('{');
        if (peek() == '}') ++at_;
        else
            do {
                const std::string key = unescaped(quoted());
                expect(':');
                fields.emplace_back(key, peek() == '"' ? unescaped(quoted()) : std::string(value()));
            } while (next_field());
        if (peek() != '\0' || at_ < text_.size()) throw NoObject{};
        return fields;
    }

private:
    char peek() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
        return at_ < text_.size() ? text_[at_] : '\0';
    }

    void expect(char wanted) {
        if (peek() != wanted) throw NoObject{};
        ++at_;
    }

    bool next_field() {
        if (peek() == ',') return ++at_, true;
        expect('}');
        return false;
    }

    // Returns what stands between the quotes, escapes as they are.
    std::string_view quoted() {
        expect('"');
        const std::size_t start = at_;
        for (; at_ < text_.size() && text_[at_] != '"'; ++at_)
            if (text_[at_] == '\\') ++at_;
        if (at_ >= text_.size()) throw NoObject{};
        return text_.substr(start, at_++ - start);
    }

    // Returns a number, a word, a list or an object.
    std::string_view value() {
        const std::size_t start = at_;
        int depth = 0;
        for (char c = peek(); depth > 0 || (c != ',' && c != '}'); c = peek()) {
            if (c == '\0' || depth < 0) throw NoObject{};
            if (c == '"') {
                quoted();
                continue;
            }
            depth += (c == '[' || c == '{') - (c == ']' || c == '}');
            ++at_;
        }
        if (at_ == start) throw NoObject{};
        std::string_view content = text_.substr(start, at_ - start);
        return content.substr(0, content.find_last_not_of(" \t\r\n") + 1);
    }

    static std::string unescaped(std::string_view text) {
        std::string plain;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '\\' && i + 1 < text.size()) {
                ++i;
                if (text[i] != '"' && text[i] != '\\' && text[i] != '/') plain += '\\';
            }
            plain += text[i];
        }
        return plain;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

// The metadata are another's text: what could steer a terminal is not passed on.
std::string printable(std::string text) {
    std::replace_if(text.begin(), text.end(), [](unsigned char c) { return (c < ' ' && c != '\n') || c == 0x7f; }, '?');
    return text;
}

// Returns the name in the metadata, or nothing where a table's head could not hold it.
std::string name_in(const Metadata& metadata) {
    const auto entry = std::find_if(metadata.begin(), metadata.end(), [](const auto& each) { return each.first == "name"; });
    if (entry == metadata.end()) return "";
    const std::string& name = entry->second;
    return std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > ' ' && c != 0x7f; }) ? name : "";
}

}  // namespace

Metadata fields_of(const std::string& json) {
    try {
        return ObjectParser(json).parse();
    } catch (const NoObject&) {
        return {{"metadata.json", json}};
    }
}

void print_metadata(const std::string& file, const Metadata& metadata, bool all) {
    const auto rank = [](const auto& field) { return std::find(told.begin(), told.end(), field.first) - told.begin(); };
    Metadata fields = metadata;
    std::stable_sort(fields.begin(), fields.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    const auto rest = std::find_if(fields.begin(), fields.end(),
                                   [&](const auto& field) { return rank(field) == std::ssize(told); });
    const auto stop = all || rest == fields.begin() ? fields.end() : rest;  // all where none is known
    std::fprintf(stderr, "%s\n", file.c_str());
    if (fields.empty()) std::fprintf(stderr, "  it holds no metadata\n");
    for (auto field = fields.begin(); field != stop; ++field)
        std::fprintf(stderr, "  %s: %s\n", printable(field->first).c_str(), printable(field->second).c_str());
    if (stop != fields.end())
        std::fprintf(stderr, "  and %zu more with --metadata\n", static_cast<std::size_t>(fields.end() - stop));
}

std::vector<std::string> headings(const std::vector<std::string>& files, const std::vector<Metadata>& metadata) {
    std::vector<std::string> names;
    for (const Metadata& each : metadata) names.push_back(name_in(each));
    std::vector<std::string> columns;
    for (std::size_t i = 0; i < files.size(); ++i) {
        const bool own = !names[i].empty() && std::count(names.begin(), names.end(), names[i]) == 1;
        columns.push_back(own ? names[i] : files[i]);
    }
    return columns;
}
