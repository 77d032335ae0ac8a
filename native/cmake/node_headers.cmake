# Sets DRIFTLESS_NODE_INCLUDE_DIRS. cmake-js passes its own header folder; a plain cmake run takes
# the headers of the npm packages, so neither needs a download.
set(node_modules ${CMAKE_CURRENT_SOURCE_DIR}/../node_modules)
set(DRIFTLESS_NODE_INCLUDE_DIRS ${CMAKE_JS_INC})
if(NOT DRIFTLESS_NODE_INCLUDE_DIRS)
  set(DRIFTLESS_NODE_INCLUDE_DIRS ${node_modules}/node-api-headers/include)
endif()
list(APPEND DRIFTLESS_NODE_INCLUDE_DIRS ${node_modules}/node-addon-api)
foreach(header node_api.h napi.h)
  find_file(DRIFTLESS_HAS_${header} ${header} PATHS ${DRIFTLESS_NODE_INCLUDE_DIRS} NO_DEFAULT_PATH)
  if(NOT DRIFTLESS_HAS_${header})
    message(FATAL_ERROR "${header} not found in ${DRIFTLESS_NODE_INCLUDE_DIRS}: run `npm install` "
                        "first, or pass -DDRIFTLESS_BUILD_ADDON=OFF")
  endif()
endforeach()
