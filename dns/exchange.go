package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	mdns "github.com/miekg/dns"
)

const (
	udpSize = 1232 // crosses any path unfragmented: DNS flag day 2020
	rounds  = 2    // times that the list of servers is tried
)

// ask tries the servers in turn until one gives an answer that can be used:
// NOERROR or NXDOMAIN to exactly this question.
func (c *Client) ask(ctx context.Context, name string, typ uint16) (reply *mdns.Msg, trusted bool, err error) {
	q := new(mdns.Msg)
	q.SetQuestion(mdns.Fqdn(name), typ)
	q.SetEdns0(udpSize, false)
	q.AuthenticatedData = true // RFC 6840, section 5.7: we understand AD
	for range rounds {
		for _, s := range c.servers {
			if ctx.Err() != nil {
				return nil, false, ctx.Err()
			}
			q.Id = mdns.Id()
			if reply, err = c.exchange(ctx, q, s.addr); err == nil {
				return reply, s.trusted, nil
			}
		}
	}
	return nil, false, err
}

// exchange asks one server, over UDP first.
func (c *Client) exchange(ctx context.Context, q *mdns.Msg, addr string) (*mdns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.try)
	defer cancel()
	udp := mdns.Client{Net: "udp", Timeout: c.try}
	reply, _, err := udp.ExchangeContext(ctx, q, addr)
	var timeout net.Error
	switch {
	case errors.As(err, &timeout):
		return nil, err
	case err == nil && !reply.Truncated && sameQuestion(q, reply):
		return reply, usable(reply)
	}
	// Truncated, garbled, or for another question, which may be a forgery. TCP
	// settles all three (RFC 7766, section 5; RFC 5452, section 9).
	tcp := mdns.Client{Net: "tcp", Timeout: c.try}
	reply, _, err = tcp.ExchangeContext(ctx, q, addr)
	if err != nil {
		return nil, err
	}
	if !sameQuestion(q, reply) {
		return nil, errors.New("the answer is for another question")
	}
	return reply, usable(reply)
}

func sameQuestion(q, reply *mdns.Msg) bool {
	if !reply.Response || reply.Opcode != mdns.OpcodeQuery || len(reply.Question) != 1 {
		return false
	}
	a, b := q.Question[0], reply.Question[0]
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

func usable(reply *mdns.Msg) error {
	if reply.Rcode == mdns.RcodeSuccess || reply.Rcode == mdns.RcodeNameError {
		return nil
	}
	return fmt.Errorf("the server answered %s", mdns.RcodeToString[reply.Rcode])
}
