package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skalds-go/skalds/internal/cli"
	"github.com/skalds-go/skalds/internal/conf"
)

// defaultSettingsFile and dotEnvFile are read where they lie in the working folder.
const (
	defaultSettingsFile = "skalds.yml"
	dotEnvFile          = ".env"
)

// settingsFlags are the flags of a command that set a key of the settings, and the file that they override.
type settingsFlags struct {
	file string
	keys map[string]string // by the flag's name, without its dashes
}

// offer adds the flags of some keys to a command.
func (f *settingsFlags) offer(c *cobra.Command, keys ...string) {
	f.keys = map[string]string{"token": "skalds_token"} // that one is the root's
	c.Flags().StringVar(&f.file, "config", "", "settings `file`, default "+defaultSettingsFile+" where there is one; `skalds config schema` lists the keys")
	for _, k := range conf.Keys() {
		name := strings.TrimPrefix(k.Flag, "--")
		if !slices.Contains(keys, k.Name) || c.Flags().Lookup(name) != nil {
			continue
		}
		key, usage := k.Name, k.Description+" ("+k.Env+")"
		if name == "listen" {
			key, usage = "listen", "address of the API and the page, `host:port` (SYSTEM_CONTROLLER_HOST, SYSTEM_CONTROLLER_PORT; default "+conf.DefaultSettings().Listen()+")"
		}
		f.keys[name] = key
		c.Flags().String(name, "", usage)
	}
}

// load reads the settings: flags over environment over .env over file.
func (f *settingsFlags) load(c *cobra.Command) (*conf.Loaded, error) {
	src := conf.Sources{File: f.file, DotEnv: dotEnvFile, Environ: os.Environ(), Flags: map[string]string{}}
	if src.File == "" {
		if _, err := os.Stat(defaultSettingsFile); err == nil {
			src.File = defaultSettingsFile
		}
	}
	c.Flags().Visit(func(flag *pflag.Flag) {
		if key, ok := f.keys[flag.Name]; ok {
			src.Flags[key] = flag.Value.String()
		}
	})
	loaded, err := conf.Load(src)
	return loaded, wrongSettings(err)
}

// given lists those of the flags that the user gave, to hand them on to a child.
func (f *settingsFlags) given(c *cobra.Command, names ...string) (args []string) {
	if f.file != "" {
		args = append(args, "--config", f.file)
	}
	for _, name := range names {
		if flag := c.Flags().Lookup(name); flag != nil && flag.Changed {
			args = append(args, "--"+name, flag.Value.String())
		}
	}
	return args
}

// newLogger is the program's only logger.
func newLogger(s conf.Settings, c *cobra.Command) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: "skalds", Level: hclog.LevelFromString(s.LogLevel.Name()), Output: c.ErrOrStderr(), JSONFormat: s.LogFormat == "json",
		TimeFormat: "2006-01-02T15:04:05.000Z0700",
	})
}

// configCommand shows and checks the settings.
func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show and check the settings of this program", Args: cli.NoArgs}
	c.AddCommand(configShow(), configCheck(), configSchema())
	return c
}

// allKeys names every key.
func allKeys() (names []string) {
	for _, k := range conf.Keys() {
		names = append(names, k.Name)
	}
	return names
}

func configShow() *cobra.Command {
	var flags settingsFlags
	c := &cobra.Command{
		Use: "show", Short: "Print what holds and where it comes from, secrets masked", Args: cli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := flags.load(c)
			if err != nil {
				return err
			}
			if c.Flag("output").Value.String() == "json" {
				return loaded.WriteJSON(c.OutOrStdout())
			}
			return loaded.WriteTable(c.OutOrStdout())
		},
	}
	flags.offer(c, allKeys()...)
	return c
}

func configCheck() *cobra.Command {
	var flags settingsFlags
	c := &cobra.Command{
		Use: "check", Short: "Say whether the settings and the workers file can be used", Args: cli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := flags.load(c)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			for _, w := range loaded.Warnings {
				if _, err := fmt.Fprintln(out, "warning:", w); err != nil {
					return err
				}
			}
			tasks := 0
			if path := loaded.Settings.YAMLFile; path != "" {
				file, err := conf.LoadWorkers(path)
				if err != nil {
					return wrongSettings(err)
				}
				if err := file.Err(); err != nil {
					return wrongSettings(err)
				}
				tasks = len(file.Entries)
			}
			_, err = fmt.Fprintf(out, "the settings can be used; the workers file names %d tasks\n", tasks)
			return err
		},
	}
	flags.offer(c, allKeys()...)
	return c
}

func configSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "List every key with its default and meaning", Args: cli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return conf.WriteSchema(c.OutOrStdout(), c.Flag("output").Value.String() == "json")
		},
	}
}
