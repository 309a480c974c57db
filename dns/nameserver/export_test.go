package nameserver

import "net"

// Respond is the packet that answers one over UDP, for the benchmark.
func Respond(s *Server, packet []byte) []byte {
	return s.overUDP(packet, make([]byte, udpSize), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
}
