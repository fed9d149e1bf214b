#include "npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string_view>

static_assert(std::endian::native == std::endian::little, "arrays are read as they are stored, little-endian");

namespace {

constexpr std::string_view magic{"\x93NUMPY", 6};
constexpr uint64_t longest_header = 1'000'000;

struct DtypeRow {
    Dtype dtype;
    const char* name;
    const char* code;  // numpy's, without the byte order
    std::size_t size;
};

constexpr std::array<DtypeRow, 12> dtypes{{
    {Dtype::boolean, "bool", "b1", 1},
    {Dtype::int8, "int8", "i1", 1},
    {Dtype::int16, "int16", "i2", 2},
    {Dtype::int32, "int32", "i4", 4},
    {Dtype::int64, "int64", "i8", 8},
    {Dtype::uint8, "uint8", "u1", 1},
    {Dtype::uint16, "uint16", "u2", 2},
    {Dtype::uint32, "uint32", "u4", 4},
    {Dtype::uint64, "uint64", "u8", 8},
    {Dtype::float16, "float16", "f2", 2},
    {Dtype::float32, "float32", "f4", 4},
    {Dtype::float64, "float64", "f8", 8},
}};

const DtypeRow& row_of(Dtype dtype) {
    return *std::find_if(dtypes.begin(), dtypes.end(), [&](const DtypeRow& row) { return row.dtype == dtype; });
}

struct Damaged {};  // the header is not what numpy writes

struct Header {
    std::string descr;
    bool fortran = false;
    Shape shape;
};

// Reads the Python dict of a header, as in {'descr': '<f4', 'fortran_order': False, 'shape': (8, 3), }
class HeaderParser {
public:
    explicit HeaderParser(std::string_view text) : text_(text) {}

    Header parse() {
        Header header;
        bool descr = false, order = false, shape = false;
        expect('{');
        while (!accept('}')) {
            const std::string key = quoted();
            expect(':');
            if (key == "descr") {
                // a list means a structured dtype, which holds no numbers of one kind
                header.descr = peek() == '[' ? "a structured dtype" : quoted();
                if (peek() == '[') return header;
                descr = true;
            } else if (key == "fortran_order") {
                header.fortran = boolean();
                order = true;
            } else if (key == "shape") {
                header.shape = tuple();
                shape = true;
            } else {
                throw Damaged{};
            }
            if (!accept(',') && peek() != '}') throw Damaged{};
        }
        if (!descr || !order || !shape || peek() != '\0') throw Damaged{};
        return header;
    }

private:
    char peek() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
        return at_ < text_.size() ? text_[at_] : '\0';
    }

    bool accept(char wanted) {
        if (peek() != wanted) return false;
        ++at_;
        return true;
    }

    void expect(char wanted) {
        if (!accept(wanted)) throw Damaged{};
    }

    std::string quoted() {
        const char quote = peek();
        if (quote != '\'' && quote != '"') throw Damaged{};
        const std::size_t end = text_.find(quote, ++at_);
        if (end == std::string_view::npos) throw Damaged{};
        std::string content(text_.substr(at_, end - at_));
        at_ = end + 1;
        return content;
    }

    bool boolean() {
        for (const std::string_view word : {"True", "False"}) {
            if (peek() == word[0] && text_.substr(at_, word.size()) == word) {
                at_ += word.size();
                return word == "True";
            }
        }
        throw Damaged{};
    }

    Shape tuple() {
        Shape numbers;
        expect('(');
        while (!accept(')')) {
            numbers.push_back(number());
            if (!accept(',') && peek() != ')') throw Damaged{};
        }
        return numbers;
    }

    int64_t number() {
        if (!std::isdigit(static_cast<unsigned char>(peek()))) throw Damaged{};
        int64_t value = 0;
        for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])); ++at_) {
            const int digit = text_[at_] - '0';
            if (value > (std::numeric_limits<int64_t>::max() - digit) / 10) throw Damaged{};
            value = 10 * value + digit;
        }
        return value;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};


InputError truncated_header(const std::string& path) {
    return InputError("the file is truncated", path + ": ends within its header", "Copy or write it again.");
}

uint64_t size_of_file(const std::string& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) throw InputError("no such file", path, "Check the path.");
    if (std::filesystem::is_directory(status))
        throw InputError("this is a directory", path, "Name the .npy file in it.");
    const uint64_t size = std::filesystem::file_size(path, error);
    if (error) throw InputError("cannot read the file", path + ": " + error.message(), "Save it to a disk.");
    if (size == 0) throw InputError("the file is empty", path + ": 0 bytes", "Write it again with np.save.");
    return size;
}

// Returns the header's text; the file then stands at the data.
std::string header_text(const std::string& path, std::ifstream& file, uint64_t size) {
    std::array<char, 12> head{};
    file.read(head.data(), head.size());
    const auto got = static_cast<std::size_t>(file.gcount());
    if (std::string_view(head.data(), std::min(got, magic.size())) != magic)
        throw InputError("not a .npy file", path + ": does not begin with \\x93NUMPY", "Save the array with np.save.");
    if (got < head.size()) throw truncated_header(path);
    const auto byte = [&](int i) { return static_cast<uint64_t>(static_cast<unsigned char>(head[i])); };
    const uint64_t version = byte(6);
    const uint64_t start = version == 1 ? 10 : 12;
    const uint64_t length = byte(8) | byte(9) << 8 | (version == 1 ? 0 : byte(10) << 16 | byte(11) << 24);
    if (version < 1 || version > 3 || length > longest_header) throw Damaged{};
    if (size < start + length) throw truncated_header(path);
    std::string text(length, '\0');
    file.clear();
    file.seekg(static_cast<std::streamoff>(start));
    file.read(text.data(), static_cast<std::streamsize>(length));
    if (static_cast<uint64_t>(file.gcount()) < length) throw truncated_header(path);
    return text;
}

Dtype dtype_of(const std::string& path, const std::string& descr) {
    const std::string code = descr.empty() ? "" : descr.substr(1);
    const auto row = std::find_if(dtypes.begin(), dtypes.end(), [&](const DtypeRow& each) { return each.code == code; });
    const std::string got = path + ": dtype " + descr + ", expected little-endian integers, bool or float16 to float64";
    if (descr == "|O")
        throw InputError("the array holds Python objects", got, "Save a plain array of numbers.");
    if (row == dtypes.end())
        throw InputError("the array has a dtype that is not read", got,
                                 "Convert it: np.save(path, array.astype(np.float32)), or another of these.");
    if (descr[0] == '>' && row->size > 1)
        throw InputError("the array is big-endian", got,
                                 "Convert it: np.save(path, array.astype(array.dtype.newbyteorder(\"<\"))).");
    return row->dtype;
}

// Returns how many bytes the data have, or the largest number if they have more.
uint64_t bytes_of(const Shape& shape, std::size_t itemsize) {
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
    uint64_t bytes = itemsize;
    for (const int64_t length : shape)
        if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(length), &bytes))
            return std::numeric_limits<uint64_t>::max();
    return bytes;
}

template <typename T>
std::vector<int64_t> widened(const Array& array) {
    std::vector<int64_t> wide(array.bytes.size() / sizeof(T));
    for (std::size_t i = 0; i < wide.size(); ++i) {
        T value;
        std::memcpy(&value, array.bytes.data() + i * sizeof(T), sizeof(T));
        if constexpr (std::is_same_v<T, uint64_t>)
            if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
                throw InputError("a label does not fit int64", array.name + ": " + std::to_string(value),
                                         "Is it a missing value that was stored as unsigned?");
        wide[i] = static_cast<int64_t>(value);
    }
    return wide;
}

}  // namespace

const char* name_of(Dtype dtype) { return row_of(dtype).name; }

std::size_t size_of(Dtype dtype) { return row_of(dtype).size; }

bool is_float(Dtype dtype) { return dtype >= Dtype::float16; }

std::string text_of(const Shape& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

int64_t product_of(const Shape& shape, std::size_t from) {
    int64_t product = 1;
    for (std::size_t i = from; i < shape.size(); ++i) product *= shape[i];
    return product;
}

std::vector<int64_t> as_int64(const Array& array) {
    switch (array.dtype) {
        case Dtype::int8: return widened<int8_t>(array);
        case Dtype::int16: return widened<int16_t>(array);
        case Dtype::int32: return widened<int32_t>(array);
        case Dtype::int64: return widened<int64_t>(array);
        case Dtype::boolean:
        case Dtype::uint8: return widened<uint8_t>(array);
        case Dtype::uint16: return widened<uint16_t>(array);
        case Dtype::uint32: return widened<uint32_t>(array);
        case Dtype::uint64: return widened<uint64_t>(array);
        default: throw std::invalid_argument("as_int64 takes integers");
    }
}

NpyFile::NpyFile(const std::string& path) : name_(path) {
    const uint64_t size = size_of_file(path);
    file_.open(path, std::ios::binary);
    if (!file_) throw InputError("cannot read the file", path, "Check its rights.");
    Header header;
    try {
        header = HeaderParser(header_text(path, file_, size)).parse();
    } catch (const Damaged&) {
        throw InputError("the .npy header is damaged", path, "Copy or write the file again.");
    }
    offset_ = static_cast<uint64_t>(file_.tellg());
    dtype_ = dtype_of(path, header.descr);
    shape_ = header.shape;
    if (header.fortran && shape_.size() > 1)
        throw InputError("the array is in Fortran order", path + ": fortran_order True, expected False",
                                 "Convert it: np.save(path, np.ascontiguousarray(array)).");
    const uint64_t needed = bytes_of(shape_, size_of(dtype_));
    if (size - offset_ < needed)
        throw InputError("the file is truncated",
                                 path + ": " + std::to_string(size - offset_) + " bytes of data, expected shape " +
                                     text_of(shape_) + " of " + name_of(dtype_),
                                 "Copy or write it again.");
}

Array NpyFile::read(int64_t start, int64_t stop) {
    Array rows{name_, dtype_, shape_, {}};
    rows.shape[0] = stop - start;
    const auto row = static_cast<uint64_t>(product_of(shape_, 1)) * size_of(dtype_);
    rows.bytes.resize(row * static_cast<uint64_t>(stop - start));
    file_.clear();
    file_.seekg(static_cast<std::streamoff>(offset_ + row * static_cast<uint64_t>(start)));
    file_.read(reinterpret_cast<char*>(rows.bytes.data()), static_cast<std::streamsize>(rows.bytes.size()));
    if (static_cast<std::size_t>(file_.gcount()) < rows.bytes.size())
        throw InputError("the file became shorter while it was read", name_, "Score it again.");
    return rows;
}
