package zone

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// WriteFile writes records as lines of a zone file (RFC 1035, section 5), grouped,
// each with what it does in a comment. Names below the origin are relative to it.
// A record of another zone, such as that of a reverse name, stands in a comment: a
// zone file holds no others.
func WriteFile(w io.Writer, origin string, records []Record) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "$ORIGIN %s.\n", origin)
	var group Group
	for _, r := range records {
		if r.Group != group {
			group = r.Group
			fmt.Fprintf(b, "\n; %s\n", group.Text())
		}
		// A zone's own name servers stand in the zone above, where it is handed over.
		foreign := !Within(r.Name, origin) || r.Purpose == PurposeDelegation && r.Type == "NS" && r.Name == origin
		fmt.Fprintf(b, "; %s\n", r.Purpose.Text())
		if foreign {
			b.WriteString("; in another zone: ")
		}
		name := r.Relative(origin)
		if foreign {
			name = r.Name + "."
		}
		fmt.Fprintf(b, "%s %d IN %s %s\n", name, r.TTL/time.Second, r.Type, r.Data())
	}
	return b.Flush()
}

// groups say to a person what records of a group are for.
var groups = map[Group]string{
	Receive:  "Receive: mail comes here",
	Send:     "Send: mail from here is believed",
	Trust:    "Trust: how others treat mail from and to the domain",
	Optional: "Optional: programs find their settings by themselves",
}

// Text says in a line what records of the group are for.
func (g Group) Text() string { return groups[g] }
