package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// maxHeader is the longest header, in bytes. A header of version 1 has 107 at the most
// (section 2.1); one of version 2 has 52 and what the balancer adds about the client's
// TLS, a certificate's name perhaps. We use none of that.
const maxHeader = 2048

// errSource: the header names no client that there could be.
var errSource = errors.New("proxy: no address of a client")

// readHeader reads a header from the beginning of a connection. The client is the zero
// value where the balancer speaks for itself. rest is what came along behind the header.
func readHeader(r io.Reader) (client netip.AddrPort, rest []byte, err error) {
	in := bufio.NewReaderSize(io.LimitReader(r, maxHeader), maxHeader)
	h, err := proxyproto.Read(in)
	if err != nil {
		return client, nil, fmt.Errorf("proxy: %w", err)
	}
	rest, err = in.Peek(in.Buffered())
	if err != nil {
		return client, nil, err
	}
	if h.Command.IsLocal() {
		return client, rest, nil
	}
	a, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok {
		return client, nil, errSource // datagrams and Unix sockets: no client of ours comes by these
	}
	client = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	if ip := client.Addr(); !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || client.Port() == 0 {
		return netip.AddrPort{}, nil, errSource
	}
	return client, rest, nil
}
