package server

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"
)

// notify tells systemd about the process: the protocol of sd_notify(3), one
// datagram to the socket that $NOTIFY_SOCKET names. Elsewhere it does nothing.
func notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if name[0] == '@' { // an abstract socket
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return // systemd will notice by itself
	}
	defer conn.Close()
	conn.Write([]byte(state))
}

// watchdog tells systemd that the server still works, twice in the time that it
// is given ($WATCHDOG_USEC). It works as long as its database answers: a process
// that is alive and can store nothing is better started anew.
func watchdog(ctx context.Context, s *Server) {
	every, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || every <= 0 {
		return
	}
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return // it is meant for our parent
	}
	tick := time.NewTicker(time.Duration(every) * time.Microsecond / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.alive(ctx); err == nil {
			notify("WATCHDOG=1")
		} else {
			s.log.Error("the database does not answer; the watchdog is not fed", "error", err)
		}
	}
}
