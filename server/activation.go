package server

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A service manager may open the sockets and hand them over: the protocol of
// sd_listen_fds(3). The server then needs no right to open ports below 1024, and while
// it is down or starts anew, who connects waits in the kernel instead of being refused.

// firstSocket is the number of the first descriptor that is handed over, and maxSockets
// how many there may be.
const (
	firstSocket = 3
	maxSockets  = 64
)

// socket is a listener that was handed over, with the name that the manager gave it.
type socket struct {
	name string
	net.Listener
}

// takeSockets takes what was handed over to this process, once: the variables that say
// so are gone then. None: nothing was.
func takeSockets() ([]socket, error) {
	pid, fds, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // it is meant for somebody else
	}
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(v)
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > maxSockets {
		return nil, &ConfigError{Text: fmt.Sprintf("LISTEN_FDS is %q: not a number of sockets up to %d", fds, maxSockets)}
	}
	var all []socket
	called := strings.Split(names, ":")
	for i := range n {
		s := socket{}
		if i < len(called) {
			s.name = called[i]
		}
		syscall.CloseOnExec(firstSocket + i)
		f := os.NewFile(uintptr(firstSocket+i), s.name)
		l, err := net.FileListener(f) // a copy
		f.Close()
		tcp, ok := l.(*net.TCPListener)
		if err != nil || !ok {
			return nil, &ConfigError{Text: fmt.Sprintf("the socket %q that was handed over is not one that listens on a TCP port", s.name), Err: err,
				Hint: "use ListenStream= with a port in its .socket unit"}
		}
		s.Listener = tcp
		all = append(all, s)
	}
	return all, nil
}

// assign gives each socket to a listener of the configuration: by its name
// (FileDescriptorName=), or where it has only that of its unit, by its port. A listener
// without a socket and a socket without a listener are errors: half of the doors being
// open is worse than none.
func (c *Config) assign(sockets []socket) (map[string]net.Listener, error) {
	if len(sockets) == 0 {
		return nil, nil
	}
	given := map[string]net.Listener{}
	for _, s := range sockets {
		door, err := c.doorOf(s)
		if err != nil {
			return nil, err
		}
		if given[door] != nil {
			return nil, &ConfigError{Key: "listen." + door, Text: "two sockets were handed over for it",
				Hint: "one takes IPv4 and IPv6 both: ListenStream=25 without an address"}
		}
		given[door] = s.Listener
	}
	for _, d := range c.doors() {
		if d.addr != off && given[d.name] == nil {
			return nil, &ConfigError{Key: "listen." + d.name, Text: "sockets were handed over, and none for this listener",
				Hint: fmt.Sprintf("add ListenStream=%s to the .socket unit, or set listen.%s = \"off\"", portOf(d.addr), d.name)}
		}
	}
	return given, nil
}

// doorOf finds the listener that a socket is for.
func (c *Config) doorOf(s socket) (string, error) {
	doors := c.doors()
	named := slices.IndexFunc(doors, func(d place) bool { return d.name == s.name })
	port := strconv.Itoa(s.Addr().(*net.TCPAddr).Port)
	if named < 0 && (s.name == "" || s.name == "unknown" || strings.HasSuffix(s.name, ".socket")) {
		named = slices.IndexFunc(doors, func(d place) bool { return d.addr != off && portOf(d.addr) == port })
	}
	switch {
	case named < 0:
		var names []string
		for _, d := range doors {
			names = append(names, d.name)
		}
		return "", &ConfigError{Text: fmt.Sprintf("a socket %q of port %s was handed over, and no listener has that name or port", s.name, port),
			Hint: "FileDescriptorName= is one of " + strings.Join(names, ", ")}
	case doors[named].addr == off:
		return "", &ConfigError{Key: "listen." + doors[named].name, Text: "is off, and a socket was handed over for it", Hint: "take it out of the .socket unit"}
	}
	return doors[named].name, nil
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// place is a door that clients reach over TCP, by its name in the configuration, and the
// address that it is to have, or off.
type place struct{ name, addr string }

// doors are all of them.
func (c *Config) doors() []place {
	return []place{
		{"smtp", c.Listen.SMTP}, {"submission", c.Listen.Submission}, {"submissions", c.Listen.Submissions}, {"imaps", c.Listen.IMAPS},
		{"http", c.httpAddr()}, {"https", c.httpsAddr()}, {"panel", c.panelAddr()}, {"metrics", c.metricsAddr()},
	}
}
