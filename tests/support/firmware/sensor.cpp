// A sensor on an Arduino Uno: says a measurement every 100 ms, and answers what it is asked. What drives its serial
// port, interrupts and buffers and all, is the Arduino core's.

#include <Arduino.h>
#include <avr/sleep.h>

// `$`, what is printed into it, `*` and the exclusive or of that in two digits, CR LF: as NMEA 0183 has it.
class Frame : public Print {
 public:
  Frame() { Serial.write('$'); }

  ~Frame() {
    Serial.write('*');
    if (sum_ < 0x10) Serial.write('0');
    Serial.println(sum_, HEX);
  }

  size_t write(uint8_t byte) override {
    sum_ ^= byte;
    return Serial.write(byte);
  }

 private:
  uint8_t sum_ = 0;
};

const unsigned long PERIOD_MS = 100;

unsigned long due_ms = 0;
unsigned long measurements = 0;
unsigned long questions = 0;
long setpoint = 0;
char line[32];
uint8_t length = 0;

void say_measurement() {
  Frame frame;
  frame.print(F("n="));
  frame.print(++measurements);
  frame.print(F(",temperature="));
  frame.print((measurements % 400) / 10.0, 1);
}

void answer(const char *question) {
  Frame frame;
  if (strcmp(question, "?") == 0) {
    frame.print(F("supply=4.98,questions="));
    frame.print(++questions);
  } else if (strncmp(question, "SET ", 4) == 0) {
    setpoint = atol(question + 4);
    frame.print(F("setpoint="));
    frame.print(setpoint);
  } else {
    frame.print(F("unknown="));
    frame.print(question);
  }
}

void hear(char byte) {
  if (byte == '\n') {
    line[length] = 0;
    length = 0;
    answer(line);
  } else if (length < sizeof line - 1) {
    line[length++] = byte;
  }
}

void setup() {
  Serial.begin(115200);
  // Only timer 0 is needed, which counts milliseconds; the others would be most of what an emulator has to do.
  TCCR1A = TCCR1B = TCCR2A = TCCR2B = 0;
  set_sleep_mode(SLEEP_MODE_IDLE);
}

void loop() {
  while (Serial.available()) hear(Serial.read());
  if ((long)(millis() - due_ms) >= 0) {
    due_ms += PERIOD_MS;
    say_measurement();
  }
  // Until the next interrupt, which is a byte or a millisecond.
  sleep_mode();
}
