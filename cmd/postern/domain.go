package main

import (
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/dns/zone"
	"postern/server/control"
)

func domainCommand(t *talk) *cobra.Command {
	return noun("domain", "Mail domains and the DNS records that they need",
		domainAdd(t), domainList(t), domainShow(t), domainRecords(t), domainCheck(t), domainRemove(t))
}

func domainAdd(t *talk) *cobra.Command {
	var assume bool
	var reason string
	c := &cobra.Command{
		Use: "add DOMAIN", Short: "Add a domain, with its DKIM keys", Args: exactly("DOMAIN"),
		Long: `Add a domain, with its DKIM keys. A domain whose ownership is neither proved nor assumed
receives and delivers locally, but neither signs nor sends outside. Ownership is proved
by a TXT record, or by handing the domain's zone to this server; both are found by
postern domain check.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if assume != (reason != "") {
				return misused(cmd, usage("--assume-owned and --reason go together"))
			}
			d, err := t.client().AddDomain(cmd.Context(), control.DomainAdd{Name: args[0], AssumeOwned: reason})
			if err != nil {
				return err
			}
			defer t.say("Next: postern domain records %s", d.Name)
			return t.domain(d)
		},
	}
	c.Flags().BoolVar(&assume, "assume-owned", false, "take a person's word that the domain is yours; needs --reason")
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return c
}

func domainList(t *talk) *cobra.Command {
	var q control.Page
	c := &cobra.Command{
		Use: "list", Short: "List all domains", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q, t.client().Domains(cmd.Context(), q), func(d *control.Domain) uuid.UUID { return d.ID }), "There is no domain yet. Add one: postern domain add DOMAIN",
				[]string{"DOMAIN", "OWNED", "NAMES", "DNS", "CHECKED", "CREATED"},
				func(d control.Domain) []string {
					return []string{d.Name, yesNo(d.Owned), d.Names, dnsWord(d.DNS), instant(d.DNS.Checked), instant(d.Created)}
				})
		},
	}
	pageFlags(c, &q)
	return c
}

func domainShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show DOMAIN", Short: "Show one domain and its keys", Args: exactly("DOMAIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := t.client().Domain(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.domain(d)
		},
	}
}

// domain shows one domain.
func (t *talk) domain(d control.Domain) error {
	owned := yesNo(d.Owned)
	if d.Proof != "" {
		owned += ", by " + string(d.Proof)
	}
	pairs := []pair{{"domain", d.Name}, {"id", d.ID.String()}, {"owned", owned}, {"names", d.Names}, {"dns", dnsWord(d.DNS)},
		{"checked", instant(d.DNS.Checked)}, {"created", instant(d.Created)}}
	for _, k := range d.DKIM {
		pairs = append(pairs, pair{"DKIM " + k.Algorithm, k.Selector})
	}
	if c := d.Proving; c != nil {
		pairs = append(pairs, pair{"proof wanted", "TXT " + c.Name + " " + c.Text})
	}
	return t.show(d, pairs...)
}

// dnsWord sums up what the last check found.
func dnsWord(d control.DomainDNS) string {
	if d.State == "problems" && d.Problems == 1 {
		return "1 problem"
	}
	if d.State == "problems" {
		return decimal(int64(d.Problems)) + " problems"
	}
	return d.State
}

// asZone is the format of a zone file (RFC 1035, section 5).
const asZone = "zone"

func domainRecords(t *talk) *cobra.Command {
	var relative bool
	c := &cobra.Command{
		Use: "records DOMAIN", Short: "Show the DNS records that a domain must publish", Args: exactly("DOMAIN"),
		Long: `Show the DNS records that a domain must publish. With -o zone they are lines
to paste into a zone file. With --relative, names are as the forms of most providers
want them: without the zone, and @ for the zone itself.`,
		Annotations: map[string]string{moreFormats: asZone},
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := t.client().DomainRecords(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if t.format == asZone {
				return t.zone(plan)
			}
			if t.format == asTable && plan.Hint != "" {
				defer t.say("%s", plan.Hint)
			}
			return list(t, given(plan.Records), "", []string{"FOR", "NAME", "TYPE", "TTL", "DATA"}, func(r control.Record) []string {
				name := r.Name
				if relative {
					name = r.Relative
				}
				return []string{string(r.Group), name, r.Type, decimal(int64(r.TTL)), r.Data}
			})
		},
	}
	c.Flags().BoolVar(&relative, "relative", false, "names without the zone that they are typed into")
	return c
}

// zone writes records as a zone file has them.
func (t *talk) zone(plan control.DomainRecords) error {
	var records []zone.Record
	for _, r := range plan.Records {
		records = append(records, r.Zone())
	}
	return zone.WriteFile(t.out, plan.Zone, records)
}

func domainRemove(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "remove DOMAIN", Short: "Remove a domain that has no inboxes", Args: exactly("DOMAIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.client().RemoveDomain(cmd.Context(), args[0]); err != nil {
				return err
			}
			t.say("%s was removed; its DKIM keys are gone.", args[0])
			return nil
		},
	}
}
