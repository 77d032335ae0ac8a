#pragma once

/// Whether two functions take as many parameters, each of the same size.
template <typename R1, typename... A1, typename R2, typename... A2>
constexpr bool same_call(R1 (*)(A1...), R2 (*)(A2...)) {
  if constexpr (sizeof...(A1) != sizeof...(A2)) {
    return false;
  } else {
    return ((sizeof(A1) == sizeof(A2)) && ...);
  }
}
