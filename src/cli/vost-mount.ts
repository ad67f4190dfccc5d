#!/usr/bin/env node
import { runCommand } from './run-command.ts';
import { widenThreadPool } from './thread-pool.ts';

widenThreadPool();
void runCommand(process.argv.slice(2)).then((code) => (process.exitCode = code));
