package web

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Namespaces of autodiscover (MS-OXDSCLI, section 2.2).
const (
	outlookSchema  = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
	responseSchema = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
)

// Bounds of a question, far above what programs send.
const (
	maxQuestion = 64 << 10 // bytes
	maxTokens   = 256
	maxDepth    = 8
)

// question is what Outlook asks.
type question struct {
	Address string // as it stands there
	Schema  string // of the answer that it understands; empty: not said
}

var errQuestion = errors.New("web: this is no question of autodiscover")

// parseQuestion reads a question. It takes XML without a document type, and so
// without entities of its own: nothing grows while it is read.
func parseQuestion(r io.Reader) (q question, err error) {
	d := xml.NewDecoder(io.LimitReader(r, maxQuestion+1))
	var path []string
	for tokens := 0; ; tokens++ {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && tokens > 0 && len(path) == 0 {
			return q, q.check()
		}
		if err != nil || tokens > maxTokens || d.InputOffset() > maxQuestion {
			return q, errQuestion
		}
		switch t := token.(type) {
		case xml.StartElement:
			if path = append(path, t.Name.Local); len(path) > maxDepth {
				return q, errQuestion
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			q.take(strings.Join(path, "/"), string(t))
		case xml.Directive:
			return q, errQuestion
		}
	}
}

func (q *question) take(path, text string) {
	switch path {
	case "Autodiscover/Request/EMailAddress":
		q.Address += text
	case "Autodiscover/Request/AcceptableResponseSchema":
		q.Schema += text
	}
}

func (q *question) check() error {
	q.Address, q.Schema = strings.TrimSpace(q.Address), strings.TrimSpace(q.Schema)
	if q.Address == "" {
		return errQuestion
	}
	return nil
}

// discovered is an answer.
type discovered struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
	Response struct {
		XMLName xml.Name  `xml:"Response"`
		Schema  string    `xml:"xmlns,attr,omitempty"`
		Account *account  `xml:"Account,omitempty"`
		Error   *disagree `xml:"Error,omitempty"`
	}
}

type account struct {
	Type      string     `xml:"AccountType"`
	Action    string     `xml:"Action"`
	Protocols []protocol `xml:"Protocol"`
}

type protocol struct {
	Type       string `xml:"Type"`
	Server     string `xml:"Server"`
	Port       int    `xml:"Port"`
	Login      string `xml:"LoginName"`
	Domain     string `xml:"DomainRequired"`
	SPA        string `xml:"SPA"`
	SSL        string `xml:"SSL"`
	Encryption string `xml:"Encryption,omitempty"`
	Auth       string `xml:"AuthRequired"`
}

// disagree says why there is no answer (MS-OXDSCLI, section 2.2.4.1.1.2).
type disagree struct {
	Code    int    `xml:"ErrorCode"`
	Message string `xml:"Message"`
}

// autodiscover answers Outlook. What is wrong with a question is said in XML, as
// its programs expect; a domain that is not here does not exist.
func (s *Server) autodiscover(w http.ResponseWriter, r *http.Request, _ string) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return status(http.StatusMethodNotAllowed)
	}
	if r.ContentLength > maxQuestion {
		return status(http.StatusRequestEntityTooLarge)
	}
	var answer discovered
	q, err := parseQuestion(r.Body)
	address, ok := parseAddress(q.Address)
	switch {
	case err != nil || !ok:
		answer.Response.Error = &disagree{600, "Invalid Request"}
	case q.Schema != "" && q.Schema != outlookSchema:
		answer.Response.Error = &disagree{601, "Provider is not available"}
	default:
		if _, err := s.c.Domain(r.Context(), address.Domain); err != nil {
			return err
		}
		answer.Response.Schema = outlookSchema
		answer.Response.Account = &account{"email", "settings", s.protocols(address.String())}
	}
	return writeXML(w, "application/xml; charset=utf-8", answer)
}

func (s *Server) protocols(login string) (all []protocol) {
	ports := s.c.Ports()
	add := func(kind string, port int, ssl, encryption string) {
		if port != 0 {
			all = append(all, protocol{kind, s.c.Host, port, login, "off", "off", ssl, encryption, "on"})
		}
	}
	add("IMAP", ports.IMAPS, "on", "SSL")
	if ports.Submissions != 0 {
		add("SMTP", ports.Submissions, "on", "SSL")
	} else {
		add("SMTP", ports.Submission, "on", "TLS")
	}
	return all
}
