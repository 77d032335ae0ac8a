#include "core/torch_pickle.h"

#include <deque>
#include <unordered_map>

#include "core/error.h"
#include "core/torch_pickle_value.h"

namespace driftless {

namespace {

using namespace torch_pickle;
using Kind = Value::Kind;

// Generous for any real model (the largest has 1095 tensors and 0.2 MB), and what a forged file can
// make this reader hold at most.
constexpr size_t kMaxBytes = size_t{16} << 20;
constexpr size_t kMaxValues = 1000000;
constexpr int kMaxDepth = 16;

class Reader {
 public:
  Reader(const uint8_t* data, size_t size, const std::string& where)
      : data_(data), size_(size), where_(where) {}

  const Value& run() {
    for (;;) {
      const uint8_t code = byte();
      if (code == '.') break;
      step(code);
    }
    return *pop();
  }

 private:
  [[noreturn]] void refuse(const std::string& expected, const std::string& got) const {
    throw Error(where_ + " at byte " + std::to_string(at_), expected, got);
  }
  const uint8_t* take(size_t count) {
    if (count > size_ - at_) {
      refuse(std::to_string(count) + " more bytes", std::to_string(size_ - at_) + " (cut off?)");
    }
    at_ += count;
    return data_ + at_ - count;
  }
  uint8_t byte() { return *take(1); }
  uint64_t number(size_t bytes) {
    const uint8_t* from = take(bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(from[i]) << (8 * i);
    return value;
  }
  std::string text(size_t bytes) {
    const uint8_t* from = take(bytes);
    return std::string(reinterpret_cast<const char*>(from), bytes);
  }
  std::string line() {
    std::string text;
    for (char c; (c = static_cast<char>(byte())) != '\n';) text.push_back(c);
    return text;
  }

  Value* make(Kind kind) {
    if (values_.size() >= kMaxValues) refuse("at most a million values", "more");
    values_.emplace_back();
    values_.back().kind = kind;
    return &values_.back();
  }
  void push(Value* value) { stack_.push_back(value); }
  void push_integer(Kind kind, int64_t integer) {
    Value* value = make(kind);
    value->integer = integer;
    push(value);
  }
  void push_text(std::string text) {
    Value* value = make(Kind::text);
    value->text = std::move(text);
    push(value);
  }
  // Nothing below the last mark can be taken.
  Value* pop() {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) refuse("a value", "an empty stack");
    Value* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  Value* top() {
    Value* value = pop();
    push(value);
    return value;
  }
  Value* pop(Kind kind) { return require(pop(), kind); }
  Value* require(Value* value, Kind kind) const {
    if (value->kind != kind) refuse(kind_name(kind), kind_name(value->kind));
    return value;
  }
  std::vector<Value*> pop_to_mark() {
    if (marks_.empty()) refuse("a mark", "none");
    std::vector<Value*> items(stack_.begin() + static_cast<long>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void push_sequence(std::vector<Value*> items) {
    Value* value = make(Kind::sequence);
    value->items = std::move(items);
    push(value);
  }
  void push_tuple(size_t count) {
    std::vector<Value*> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push_sequence(std::move(items));
  }
  void set_items(std::vector<Value*> items) {
    if (items.size() % 2 != 0) refuse("keys with values", "a key without a value");
    Value* dictionary = require(top(), Kind::dictionary);
    for (size_t i = 0; i < items.size(); i += 2) {
      dictionary->pairs.emplace_back(items[i], items[i + 1]);
    }
  }
  void remember(uint64_t index) { memo_[index] = top(); }
  void recall(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end())
      refuse("a remembered value", "none with number " + std::to_string(index));
    push(found->second);
  }

  void step(uint8_t code);
  void push_long();
  void push_global(const std::string& name);
  void push_storage();
  void build();
  void reduce();
  Value* rebuild_tensor(const std::vector<Value*>& arguments, bool untyped);
  std::vector<int64_t> integers(Value* value) const;

  const uint8_t* data_;
  size_t size_;
  std::string where_;
  size_t at_ = 0;
  std::deque<Value> values_;  // a deque, so that pointers stay
  std::vector<Value*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Value*> memo_;
};

// Letters are the opcodes of Python's pickletools.
void Reader::step(uint8_t code) {
  switch (code) {
    case 0x80:  // PROTO
      if (const uint8_t version = byte(); version < 2 || version > 5) {
        refuse("pickle protocol 2 to 5", std::to_string(version));
      }
      return;
    case 0x95:  // FRAME
      take(8);
      return;
    case '(':
      return marks_.push_back(stack_.size());
    case '}':
      return push(make(Kind::dictionary));
    case ']':
    case ')':
      return push(make(Kind::sequence));
    case 't':
      return push_sequence(pop_to_mark());
    case 0x85:
    case 0x86:
    case 0x87:  // TUPLE1, TUPLE2, TUPLE3
      return push_tuple(static_cast<size_t>(code) - 0x84);
    case 'a': {
      Value* item = pop();
      return require(top(), Kind::sequence)->items.push_back(item);
    }
    case 'e': {
      const std::vector<Value*> items = pop_to_mark();
      Value* list = require(top(), Kind::sequence);
      list->items.insert(list->items.end(), items.begin(), items.end());
      return;
    }
    case 's': {
      Value* value = pop();
      Value* key = pop();
      return set_items({key, value});
    }
    case 'u':
      return set_items(pop_to_mark());
    case 'N':
      return push(make(Kind::none));
    case 0x88:
    case 0x89:  // NEWTRUE, NEWFALSE
      return push_integer(Kind::boolean, code == 0x88 ? 1 : 0);
    case 'K':
      return push_integer(Kind::integer, static_cast<int64_t>(number(1)));
    case 'M':
      return push_integer(Kind::integer, static_cast<int64_t>(number(2)));
    case 'J':
      return push_integer(Kind::integer, static_cast<int32_t>(number(4)));
    case 0x8a:
      return push_long();
    case 'G':
      take(8);  // nothing here needs a number's value
      return push(make(Kind::real));
    case 'X':
      return push_text(text(number(4)));
    case 0x8c:
      return push_text(text(number(1)));
    case 0x8d:
      return push_text(text(number(8)));
    case 'q':
      return remember(number(1));
    case 'r':
      return remember(number(4));
    case 0x94:
      return remember(memo_.size());
    case 'h':
      return recall(number(1));
    case 'j':
      return recall(number(4));
    case 'c': {
      const std::string module = line();
      return push_global(module + "." + line());
    }
    case 0x93: {  // STACK_GLOBAL
      const std::string name = pop(Kind::text)->text;
      return push_global(pop(Kind::text)->text + "." + name);
    }
    case 'Q':
      return push_storage();
    case 'R':
      return reduce();
    case 'b':
      return build();
    default:
      --at_;
      refuse("an instruction of a plain state dict", "opcode " + std::to_string(code));
  }
}

void Reader::push_long() {
  const size_t bytes = number(1);
  if (bytes > 8) refuse("an integer of 64 bits", std::to_string(8 * bytes) + " bits");
  uint64_t value = number(bytes);
  const bool negative = bytes > 0 && bytes < 8 && (value >> (8 * bytes - 1) & 1) != 0;
  if (negative) value |= ~uint64_t{0} << (8 * bytes);
  push_integer(Kind::integer, static_cast<int64_t>(value));
}

void Reader::push_global(const std::string& name) {
  for (const char* known : kFunctions) {
    if (name != known) continue;
    Value* value = make(Kind::function);
    value->text = name;
    return push(value);
  }
  const auto push_type = [&](Type type, bool untyped) {
    Value* value = make(Kind::element_type);
    value->type = type;
    value->untyped = untyped;
    push(value);
  };
  if (name == kUntyped) return push_type(Type::U8, true);
  for (const KnownType& known : kStorages) {
    if (name == known.name) return push_type(known.type, false);
  }
  for (const KnownType& known : kElementTypes) {
    if (name == known.name) return push_type(known.type, false);
  }
  refuse("only tensors of floats, integers or bytes, and what holds them (a plain state dict)",
         "the global " + name);
}

// ("storage", type, record, device, number of elements)
void Reader::push_storage() {
  const std::vector<Value*> parts = pop(Kind::sequence)->items;
  if (parts.size() != 5 || require(parts[0], Kind::text)->text != "storage") {
    refuse("the five parts of a storage", std::to_string(parts.size()) + " others");
  }
  const Value* type = require(parts[1], Kind::element_type);
  Value* storage = make(Kind::storage);
  storage->type = type->type;
  storage->untyped = type->untyped;
  storage->tensor.storage = require(parts[2], Kind::text)->text;
  const int64_t count = require(parts[4], Kind::integer)->integer;
  const auto size = static_cast<int64_t>(tensor_type_size(type->type));
  if (count < 0 || count > (int64_t{1} << 48)) refuse("up to 2^48 elements", std::to_string(count));
  storage->tensor.storage_bytes = count * size;
  push(storage);
}

// An OrderedDict of torch carries its modules' versions as an attribute.
void Reader::build() {
  const Value* state = pop(Kind::dictionary);
  require(top(), Kind::dictionary);
  for (const auto& pair : state->pairs) {
    if (require(pair.first, Kind::text)->text != "_metadata") {
      refuse("no attribute but _metadata", pair.first->text);
    }
  }
}

std::vector<int64_t> Reader::integers(Value* value) const {
  std::vector<int64_t> result;
  for (Value* item : require(value, Kind::sequence)->items) {
    result.push_back(require(item, Kind::integer)->integer);
  }
  return result;
}

// (storage, offset, shape, strides, requires_grad, hooks[, type][, metadata])
Value* Reader::rebuild_tensor(const std::vector<Value*>& arguments, bool untyped) {
  const size_t least = untyped ? 7 : 6;
  if (arguments.size() < least || arguments.size() > least + 1) {
    refuse(std::to_string(least) + " arguments of a tensor", std::to_string(arguments.size()));
  }
  const Value* storage = require(arguments[0], Kind::storage);
  if (storage->untyped != untyped)
    refuse("a storage that fits the tensor's form", "the other kind");
  Value* result = make(Kind::tensor);
  result->tensor = storage->tensor;
  result->tensor.type = untyped ? require(arguments[6], Kind::element_type)->type : storage->type;
  result->tensor.offset = require(arguments[1], Kind::integer)->integer;
  result->tensor.shape = integers(arguments[2]);
  result->tensor.strides = integers(arguments[3]);
  return result;
}

void Reader::reduce() {
  const std::vector<Value*> arguments = pop(Kind::sequence)->items;
  const std::string name = pop(Kind::function)->text;
  const auto expect = [&](size_t count) {
    if (arguments.size() != count) {
      refuse(std::to_string(count) + " arguments of " + name, std::to_string(arguments.size()));
    }
  };
  if (name == "collections.OrderedDict") {
    expect(0);
    push(make(Kind::dictionary));
  } else if (name == "torch.Size") {
    expect(1);
    push(require(arguments[0], Kind::sequence));
  } else if (name == "torch._utils._rebuild_parameter") {
    expect(3);
    push(require(arguments[0], Kind::tensor));
  } else {
    push(rebuild_tensor(arguments, name == "torch._utils._rebuild_tensor_v3"));
  }
}

// Dictionaries may share or contain each other, so both depth and number are bounded.
class Collector {
 public:
  Collector(TorchStateDict& result, const std::string& where) : result_(result), where_(where) {}

  void collect(const Value& dictionary, const std::string& prefix, int depth) {
    if (depth > kMaxDepth) throw Error(where_, "dictionaries nested less deeply", prefix);
    for (const auto& [key, value] : dictionary.pairs) {
      if (++visited_ > kMaxValues) throw Error(where_, "at most a million entries", "more");
      if (key->kind != Kind::text) continue;
      const std::string name = prefix + key->text;
      if (value->kind == Kind::dictionary) collect(*value, name + ".", depth + 1);
      if (value->kind != Kind::tensor) continue;
      if (!result_.tensors.emplace(name, value->tensor).second) {
        throw Error(where_, "one tensor named " + name, "two");
      }
    }
  }

 private:
  TorchStateDict& result_;
  const std::string& where_;
  size_t visited_ = 0;
};

}  // namespace

TorchStateDict read_torch_pickle(const uint8_t* data, size_t size,
                                 const std::vector<std::string>& sections,
                                 const std::string& where) {
  DL_CHECK(size <= kMaxBytes, where, "at most " + std::to_string(kMaxBytes) + " bytes", size);
  Reader reader(data, size, where);
  const Value* dictionary = &reader.run();
  if (dictionary->kind != Kind::dictionary) {
    throw Error(where, "a dictionary of tensors", kind_name(dictionary->kind));
  }
  TorchStateDict result;
  for (const std::string& section : sections) {
    if (!result.section.empty()) break;
    for (const auto& [key, value] : dictionary->pairs) {
      if (key->kind != Kind::text || key->text != section) continue;
      if (value->kind != Kind::dictionary) continue;
      result.section = section;
      dictionary = value;
      break;
    }
  }
  Collector(result, where).collect(*dictionary, "", 0);
  return result;
}

}  // namespace driftless
