// `pio run -e native` only shows that the portable part of the runtime compiles here.
int main() { return 0; }
