// What a model file says of itself: its fields, and how they are shown.
#pragma once

#include <string>
#include <utility>
#include <vector>

// Names and texts: a string as it is, everything else as JSON.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// Returns the fields of a JSON object, or the whole text as metadata.json where it is none. Only \" \\ and \/ are
// unescaped: the other escapes stand for what a terminal should not be sent, or for letters that it may not have.
Metadata fields_of(const std::string& json);

// Prints a file's metadata to standard error, a line each: those that tell what the loss computes, or all of them.
void print_metadata(const std::string& file, const Metadata& metadata, bool all);

// Returns a column's name for each file: the name in its metadata, or its path where it has none of its own.
std::vector<std::string> headings(const std::vector<std::string>& files, const std::vector<Metadata>& metadata);
