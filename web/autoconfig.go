package web

import (
	"encoding/xml"
	"net/http"

	"postern/server/message"
)

// maxAddress is the longest mail address (RFC 5321, section 4.5.3.1.3, without the
// angle brackets).
const maxAddress = 254

// parseAddress reads an address that somebody typed. Its domain is in A-labels.
func parseAddress(s string) (message.Path, bool) {
	if len(s) > maxAddress {
		return message.Path{}, false
	}
	p, err := message.ParseAddress(s)
	if err != nil || p.Domain == "" {
		return message.Path{}, false
	}
	return p.Canonical(), true
}

// clientConfig is the file that Thunderbird made common.
type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Version  string   `xml:"version,attr"`
	Provider struct {
		ID       string       `xml:"id,attr"`
		Domain   string       `xml:"domain"`
		Name     string       `xml:"displayName"`
		Short    string       `xml:"displayShortName"`
		Incoming []mailServer `xml:"incomingServer"`
		Outgoing []mailServer `xml:"outgoingServer"`
	} `xml:"emailProvider"`
}

type mailServer struct {
	Type     string `xml:"type,attr"`
	Host     string `xml:"hostname"`
	Port     int    `xml:"port"`
	Socket   string `xml:"socketType"` // SSL: TLS from the first byte
	User     string `xml:"username"`
	Password string `xml:"authentication"`
}

// config answers where a domain's mail programs connect to. The login name is the
// whole address, whichever that is: the program fills it in. // AC-10
func (s *Server) config(w http.ResponseWriter, r *http.Request, host string) error {
	if err := reads(w, r); err != nil {
		return err
	}
	d, err := s.domainOf(r, host)
	if err != nil {
		return err
	}
	var c clientConfig
	c.Version = "1.1"
	p, ports := &c.Provider, s.c.Ports()
	p.ID, p.Domain, p.Name, p.Short = d.Name, d.Name, d.Name, d.Name
	server := func(kind string, port int, socket string) []mailServer {
		if port == 0 {
			return nil
		}
		return []mailServer{{kind, s.c.Host, port, socket, "%EMAILADDRESS%", "password-cleartext"}}
	}
	p.Incoming = server("imap", ports.IMAPS, "SSL")
	p.Outgoing = append(server("smtp", ports.Submissions, "SSL"), server("smtp", ports.Submission, "STARTTLS")...)
	return writeXML(w, "text/xml; charset=utf-8", c)
}

// writeXML answers with a document.
func writeXML(w http.ResponseWriter, contentType string, v any) error {
	b, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	_, err = w.Write(append(append([]byte(xml.Header), b...), '\n'))
	return ignore(err)
}
