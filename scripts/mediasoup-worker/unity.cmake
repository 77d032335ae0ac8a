# Most of the build time is headers, so the sources are compiled in batches (unity build): two
# minutes on two cores instead of eight and a half.
#
# The files listed here define file-level names that another file of their batch defines too. They
# form two batches of their own, in which no name meets twice. If a later mediasoup brings a new
# clash, the compiler names both files: add one of them here.
set(APART_1
    Settings.cpp
    handles/TcpServerHandle.cpp
    handles/UdpSocketHandle.cpp
    RTC/BWE/LossBasedController.cpp
    RTC/PlainTransport.cpp
    RTC/RTCP/Feedback.cpp
    RTC/RTP/RtxStream.cpp
    RTC/SCTP/association/TransmissionControlBlock.cpp
    RTC/SvcProducerStreamManager.cpp
    RTC/TransportCongestionControlServer.cpp
    RTC/WebRtcTransport.cpp)
set(APART_2
    handles/UnixStreamSocketHandle.cpp
    RTC/BWE/TargetRateController.cpp
    goog_cc/trendline_estimator.cc
    remote_bitrate_estimator/remote_bitrate_estimator_abs_send_time.cc)

set(BATCH_SIZE 24)
set(position 0)
get_target_property(sources mediasoup-worker SOURCES)
foreach(source ${sources})
  math(EXPR batch "${position} / ${BATCH_SIZE}")
  set(group "batch_${batch}")
  foreach(set_name APART_1 APART_2)
    foreach(name ${${set_name}})
      string(FIND "${source}" "/${name}" found)
      if(NOT found EQUAL -1)
        set(group ${set_name})
      endif()
    endforeach()
  endforeach()
  set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${group})
  math(EXPR position "${position} + 1")
endforeach()
set_target_properties(mediasoup-worker PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
