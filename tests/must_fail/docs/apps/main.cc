void Commands(App& app) { app.add_subcommand("edit", "--seed"); }
