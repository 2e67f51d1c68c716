// The commands, one file each. Each returns the program's exit code and throws Error.
#pragma once

namespace pare::cli {

int run(int argc, char** argv);
int plan(int argc, char** argv);
int list(int argc, char** argv);
int help(int argc, char** argv);
int bench(int argc, char** argv);
int eval(int argc, char** argv);
int score(int argc, char** argv);
int logits(int argc, char** argv);
int generate(int argc, char** argv);
int serve(int argc, char** argv);
int tokenize(int argc, char** argv);
int chat_template(int argc, char** argv);
int info(int argc, char** argv);
int pull(int argc, char** argv);
int convert(int argc, char** argv);
int imatrix(int argc, char** argv);
int compare(int argc, char** argv);
int runs(int argc, char** argv);
int show(int argc, char** argv);
int data(int argc, char** argv);
int doctor(int argc, char** argv);
int gc(int argc, char** argv);

}  // namespace pare::cli
