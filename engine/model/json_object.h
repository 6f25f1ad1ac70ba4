// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// JSON objects of config files, read field by field; what is wrong is said with file, field and what was expected.
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace mc::model {

class JsonObject {
  public:
    // What to do about a file that is wrong, unless a message knows better.
    static constexpr const char* CORRECT = "correct the file or download it again";
    // `text` may be anything; `file` is named in messages. Throws MC_ERROR_READ for what is not one JSON
    // object, has a key twice, nests deeper than 16 levels or is longer than 16 MiB.
    static JsonObject parse(std::string_view text, const std::string& file,
                            const std::string& remedy = CORRECT);
    // Also MC_ERROR_NOT_FOUND.
    static JsonObject read(const std::string& file, const std::string& remedy = CORRECT);

    const std::string& file() const { return file_; }
    bool has(const std::string& key) const; // there, and not null

    // Each throws MC_ERROR_READ when the field is missing or is not what is asked for.
    int64_t integer(const std::string& key, int64_t least, int64_t most) const;
    double number(const std::string& key, double least, double most) const;
    bool boolean(const std::string& key) const;
    std::string text(const std::string& key) const;
    std::vector<int64_t> integers(const std::string& key, int64_t least, int64_t most) const;
    std::vector<double> numbers(const std::string& key) const;
    std::vector<bool> booleans(const std::string& key) const;
    JsonObject object(const std::string& key) const;
    std::vector<std::string> keys() const;
    // The error for a field whose value cannot be used: "FILE: field 'KEY' is VALUE, expected EXPECTED; REMEDY".
    [[noreturn]] void refuse(const std::string& key, const std::string& expected,
                             const std::string& remedy = {}) const;

    // The error for a file that is wrong in another way: "FILE: WHAT; REMEDY".
    [[noreturn]] void refuse_file(const std::string& what) const;

  private:
    JsonObject(std::shared_ptr<const nlohmann::json> value, std::string file, std::string remedy);
    const nlohmann::json& field(const std::string& key, const std::string& expected) const;
    std::shared_ptr<const nlohmann::json> value_;
    std::string file_, remedy_;
};

} // namespace mc::model
