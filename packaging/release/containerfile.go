package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// imageSettings reads from the Containerfile's last stage how an image is to be run,
// so that the image made here and the one that people build are the same.
func imageSettings(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	settings := map[string]any{"WorkingDir": "/"}
	ports := map[string]struct{}{}
	for line := range strings.SplitSeq(strings.ReplaceAll(string(text), "\\\n", " "), "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "USER":
			settings["User"] = rest
		case "STOPSIGNAL":
			settings["StopSignal"] = rest
		case "ENV":
			settings["Env"] = strings.Fields(rest)
		case "VOLUME":
			settings["Volumes"] = map[string]struct{}{rest: {}}
		case "EXPOSE":
			for _, port := range strings.Fields(rest) {
				ports[port+"/tcp"] = struct{}{}
			}
		case "HEALTHCHECK":
			if settings["Healthcheck"], err = healthcheck(rest); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		case "ENTRYPOINT", "CMD":
			var args []string
			if err := json.Unmarshal([]byte(rest), &args); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", path, word, err)
			}
			settings[map[string]string{"ENTRYPOINT": "Entrypoint", "CMD": "Cmd"}[word]] = args
		}
	}
	settings["ExposedPorts"] = ports
	return settings, nil
}

// healthcheck reads the instruction of that name: --interval=30s … CMD ["/postern", "healthz"].
func healthcheck(text string) (map[string]any, error) {
	options, command, ok := strings.Cut(text, "CMD ")
	var args []string
	if err := json.Unmarshal([]byte(command), &args); !ok || err != nil {
		return nil, fmt.Errorf("HEALTHCHECK has no CMD that is a list: %q", text)
	}
	check := map[string]any{"Test": append([]string{"CMD"}, args...)}
	for _, option := range strings.Fields(options) {
		name, value, _ := strings.Cut(strings.TrimPrefix(option, "--"), "=")
		d, err := time.ParseDuration(value)
		if err != nil {
			return nil, fmt.Errorf("HEALTHCHECK: %w", err)
		}
		check[map[string]string{"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod"}[name]] = d.Nanoseconds()
	}
	return check, nil
}
